/* A convolution over time with what follows it, and its way back.
 *
 *     out[r] = act(bias + sum_t input[r + t * batch] W_t) + input[r + before * batch]
 *
 * where act is GELU or nothing, and the last term is there in layers with a shortcut. Rows lie
 * time first, `batch` of them for each step. The way forward keeps act's slope; the way back
 * multiplies it by the gradient, in place.
 *
 * Both ways are products with a matrix of few columns, which serve from the first-level cache:
 * a tile of the result stays in registers for the whole sum, and rows are read as they lie.
 */
#ifndef GREVY_CONVOLUTION_H
#define GREVY_CONVOLUTION_H

#include "vector.h"

INLINE integer panels(integer columns)
{
    return (columns + WIDTH - 1) / WIDTH;
}

/* Write `n` columns of a tile, as `matrix` lies. */
INLINE void put(Matrix matrix, integer row, integer column, integer n, const vec tile[2])
{
    float *to = matrix.at + row * matrix.row + column * matrix.column;
    if (n == WIDTH && matrix.column == 1) {
        store(to, tile[0]);
        store(to + LANES, tile[1]);
        return;
    }
    float numbers[WIDTH];
    memcpy(numbers, tile, sizeof numbers);
    for (integer i = 0; i < n; i++)
        to[i * matrix.column] = numbers[i];
}

/* The reverse; zeros fill the tile. */
INLINE void get(Matrix matrix, integer row, integer column, integer n, vec tile[2])
{
    const float *from = matrix.at + row * matrix.row + column * matrix.column;
    if (n == WIDTH && matrix.column == 1) {
        tile[0] = load(from);
        tile[1] = load(from + LANES);
        return;
    }
    float numbers[WIDTH] = {0};
    for (integer i = 0; i < n; i++)
        numbers[i] = from[i * matrix.column];
    memcpy(tile, numbers, sizeof numbers);
}

INLINE integer columns_left(integer columns, integer first)
{
    return columns - first < WIDTH ? columns - first : WIDTH;
}

INLINE const float *input_row(const Convolution *c, integer row)
{
    return c->input.at + (c->index ? c->index[row] : row) * c->input.row;
}

/* Windows, or rows where there is one sequence. */
INLINE integer apart(const Convolution *c)
{
    return c->batch > 1 ? c->batch : c->rows;
}

/* The least of them in a piece of the work: of 128 rows or more. */
INLINE integer least(const Convolution *c)
{
    return 128 * apart(c) / c->rows > ROWS ? 128 * apart(c) / c->rows : ROWS;
}

/* A piece of the rows of the output, some at a time. Where there are windows, a few of them from
 * their first step to their last: the next step reads what this one has read. */
INLINE void over_rows(const Convolution *c, integer few, Piece piece,
                      void (*act)(const Convolution *, integer row, integer end, integer piece))
{
    for (integer first = piece.first; first < piece.end; first += few)
        for (integer row = first; row < c->rows; row += apart(c))
            act(c, row, row + (piece.end - first < few ? piece.end - first : few), piece.number);
}

#endif
