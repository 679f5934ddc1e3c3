/* Where C has put what: read by Python when it loads these loops. */
#include <stddef.h>

#include "structures.h"

typedef struct {
    const char *name, *kind;
    integer offset, size;
} Place;

/* A structure's whole size, then its members: `here` is the structure that a list is read for. */
#define MEMBER_PLACE(type, name) {#name, #type, offsetof(here, name), sizeof(type)},
#define TABLE(structure, list)                                                                     \
    static const Place *places_of_##structure(void)                                                \
    {                                                                                              \
        typedef structure here;                                                                    \
        static const Place places[] = {{#structure, "", -1, sizeof(here)}, list(MEMBER_PLACE){0}};     \
        return places;                                                                             \
    }
EVERY_STRUCTURE(TABLE)

#define ONE_OF(structure, list) places_of_##structure(),

/* The table of structure number `number`, ended by a null name; null where there is none. */
const Place *kernels_layout(integer number)
{
    const Place *const all[] = {EVERY_STRUCTURE(ONE_OF)};
    return number < (integer)(sizeof all / sizeof *all) ? all[number] : 0;
}
