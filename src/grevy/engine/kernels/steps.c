/* Calls that follow each other, and what all of this was built from. */
#include "vector.h"

/* What this was built from; see sources.py. */
integer kernels_sources(void)
{
    return SOURCES;
}

/* Mirrored by `grevy.engine.kernels.Step`. */
typedef struct {
    void (*function)(const void *);
    const void *argument;
} Step;

void run_steps(const Step *steps, integer n)
{
    for (integer i = 0; i < n; i++)
        steps[i].function(steps[i].argument);
}
