/* Rows copied, added, set to length one; the steps that lie in windows. */
#include <math.h>
#include <omp.h>

#include "vector.h"

/* Mirrored by `grevy.engine.kernels.Rows`. */
typedef struct {
    integer n, columns, rows, threads; /* index (n,); rows of `to` */
    const float *from;
    const integer *index;
    float *to;
} Rows;

/* to[i] = from[index[i]] */
void rows_gather(const Rows *r)
{
#pragma omp parallel for num_threads((int)r->threads)
    for (integer i = 0; i < r->n; i++)
        memcpy(r->to + i * r->columns, r->from + r->index[i] * r->columns,
               sizeof(float) * r->columns);
}

/* to[j] = sum of from[i] over all i with index[i] = j. Each thread has rows of its own, so that
 * the order of every sum is that of i. */
void rows_sum(const Rows *r)
{
#pragma omp parallel num_threads((int)r->threads)
    {
        integer me = omp_get_thread_num(), team = omp_get_num_threads(), columns = r->columns;
        integer first = r->rows * me / team, end = r->rows * (me + 1) / team;
        memset(r->to + first * columns, 0, sizeof(float) * columns * (end - first));
        for (integer i = 0; i < r->n; i++) {
            if (r->index[i] < first || r->index[i] >= end)
                continue;
            float *restrict sums = r->to + r->index[i] * columns;
            const float *restrict terms = r->from + i * columns;
            for (integer k = 0; k < columns; k++)
                sums[k] += terms[k];
        }
    }
}

/* Mirrored by `grevy.engine.kernels.Lengths`. */
typedef struct {
    integer rows, columns, threads;
    Matrix in, out, grad, in_grad;
    float *lengths; /* (rows,), kept for the way back */
} Lengths;

/* out = x / |x| */
void lengths_forward(const Lengths *l)
{
#pragma omp parallel for num_threads((int)l->threads)
    for (integer i = 0; i < l->rows; i++) {
        float square = 0;
        for (integer k = 0; k < l->columns; k++)
            square += *at(l->in, i, k) * *at(l->in, i, k);
        l->lengths[i] = sqrtf(square);
        for (integer k = 0; k < l->columns; k++)
            *at(l->out, i, k) = *at(l->in, i, k) / l->lengths[i];
    }
}

/* (g - y (y . g)) / |x| */
void lengths_backward(const Lengths *l)
{
#pragma omp parallel for num_threads((int)l->threads)
    for (integer i = 0; i < l->rows; i++) {
        float along = 0;
        for (integer k = 0; k < l->columns; k++)
            along += *at(l->out, i, k) * *at(l->grad, i, k);
        for (integer k = 0; k < l->columns; k++)
            *at(l->in_grad, i, k) =
                (*at(l->grad, i, k) - *at(l->out, i, k) * along) / l->lengths[i];
    }
}

/* Find the steps that lie in windows [start[i], start[i] + width) of `length` steps.
 *
 * kept (room,) gets them in order, the last one repeated; first (n,) where each window starts
 * among them. `place` (length,) is scratch. Returns their number, or -1 if there is no room. */
integer windows_cover(const integer *start, integer n, integer width, integer length,
                      int32_t *place, integer room, integer *kept, integer *first)
{
    memset(place, 0, sizeof(int32_t) * length);
    for (integer i = 0; i < n; i++)
        for (integer lag = 0; lag < width; lag++)
            place[start[i] + lag] = 1;
    integer found = 0;
    for (integer step = 0; step < length; step++) {
        int covered = place[step];
        if (covered && found == room)
            return -1;
        place[step] = (int32_t)found;
        if (covered)
            kept[found++] = step;
    }
    for (integer i = 0; i < n; i++)
        first[i] = place[start[i]];
    for (integer i = found; i < room; i++)
        kept[i] = kept[found - 1];
    return found;
}
