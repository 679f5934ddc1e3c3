/* Stretches of a file, read into memory. */
#define _GNU_SOURCE          /* for pread */
#define _FILE_OFFSET_BITS 64 /* also where a pointer has 32 */
#include <errno.h>
#include <unistd.h>

#include "structures.h"

#define ENDED -1

typedef struct {
    integer descriptor;
    const integer *places, *sizes, *begins;
    char *to;
    integer *faults; /* of each piece */
} Stretches;

/* Returns 0, the number of the system's error, or ENDED if the file is over before. */
static integer read_one(int descriptor, integer place, integer size, char *to)
{
    while (size > 0) {
        ssize_t got = pread(descriptor, to, (size_t)size, (off_t)place);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : ENDED;
        place += got, size -= got, to += got;
    }
    return 0;
}

static void read_some(const void *argument, Piece piece)
{
    const Stretches *s = argument;
    integer fault = 0;
    for (integer i = piece.first; i < piece.end && !fault; i++)
        fault = read_one((int)s->descriptor, s->places[i], s->sizes[i], s->to + s->begins[i]);
    s->faults[piece.number] = fault;
}

/* Read the n stretches of sizes[i] bytes at places[i] of a file to begins[i] of `to`.
 *
 * Returns 0 if all are there, else what `read_one` does of one that is not. */
integer stretches_read(integer descriptor, integer n, const integer *places, const integer *sizes,
                       const integer *begins, char *to, integer threads)
{
    integer faults[MOST_PIECES] = {0};
    const Stretches s = {descriptor, places, sizes, begins, to, faults};
    in_pieces(threads, n, 1, 64, read_some, &s);
    for (integer i = 0; i < MOST_PIECES; i++)
        if (faults[i])
            return faults[i];
    return 0;
}
