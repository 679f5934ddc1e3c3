/* Calls that follow each other, and what all of this was built from. */
#include "vector.h"

/* What this was built from; see sources.py. */
integer kernels_sources(void)
{
    return SOURCES;
}

void run_steps(const Step *steps, integer n)
{
    for (integer i = 0; i < n; i++)
        ((void (*)(const void *))steps[i].function)(steps[i].argument);
}
