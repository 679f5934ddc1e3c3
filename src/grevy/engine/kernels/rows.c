/* Rows copied, added, set to length one; the steps that lie in windows. */
#include <math.h>

#include "vector.h"

/* output[i] = source[index[i]] */
static void gather(const void *argument, Piece piece)
{
    const Rows *r = argument;
    int whole = r->source.column == 1 && r->output.column == 1;
    for (integer i = piece.first; i < piece.end; i++) {
        float *to = at(r->output, i, 0);
        const float *from = at(r->source, r->index[i], 0);
        if (whole)
            memcpy(to, from, sizeof(float) * r->columns);
        else
            for (integer k = 0; k < r->columns; k++)
                to[k * r->output.column] = from[k * r->source.column];
    }
}

void rows_gather(const Rows *r)
{
    in_pieces(r->threads, r->n, 1, 64, gather, r);
}

/* output[j] = sum of source[i] over all i with index[i] = j. Each piece has rows of its own, so that
 * the order of every sum is that of i; there are few, for each looks through the whole index. */
static void sum_rows(const void *argument, Piece piece)
{
    const Rows *r = argument;
    integer across = r->output.column, along = r->source.column;
    for (integer j = piece.first; j < piece.end; j++)
        for (integer k = 0; k < r->columns; k++)
            *at(r->output, j, k) = 0;
    for (integer i = 0; i < r->n; i++) {
        if (r->index[i] < piece.first || r->index[i] >= piece.end)
            continue;
        float *restrict sums = at(r->output, r->index[i], 0);
        const float *restrict terms = at(r->source, i, 0);
        for (integer k = 0; k < r->columns; k++)
            sums[k * across] += terms[k * along];
    }
}

void rows_sum(const Rows *r)
{
    in_pieces(r->threads, r->rows, 1, r->rows / r->threads, sum_rows, r);
}

/* output = x / |x| */
static void set_lengths(const void *argument, Piece piece)
{
    const Lengths *l = argument;
    for (integer i = piece.first; i < piece.end; i++) {
        float square = 0;
        for (integer k = 0; k < l->columns; k++)
            square += *at(l->input, i, k) * *at(l->input, i, k);
        l->lengths[i] = sqrtf(square);
        for (integer k = 0; k < l->columns; k++)
            *at(l->output, i, k) = *at(l->input, i, k) / l->lengths[i];
    }
}

void lengths_forward(const Lengths *l)
{
    in_pieces(l->threads, l->rows, 1, 256, set_lengths, l);
}

/* (g - y (y . g)) / |x| */
static void turn_back(const void *argument, Piece piece)
{
    const Lengths *l = argument;
    for (integer i = piece.first; i < piece.end; i++) {
        float along = 0;
        for (integer k = 0; k < l->columns; k++)
            along += *at(l->output, i, k) * *at(l->grad, i, k);
        for (integer k = 0; k < l->columns; k++)
            *at(l->input_grad, i, k) =
                (*at(l->grad, i, k) - *at(l->output, i, k) * along) / l->lengths[i];
    }
}

void lengths_backward(const Lengths *l)
{
    in_pieces(l->threads, l->rows, 1, 256, turn_back, l);
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
    for (integer i = found; found && i < room; i++)
        kept[i] = kept[found - 1];
    return found;
}
