/* A convolution, its activation and its shortcut: the way back. See convolution.h. */
#include "convolution.h"

#define BLOCK 128 /* rows over which a weight gradient is summed before it is written */

static integer share_numbers(const Convolution *c)
{
    return panels(c->n_out) * (c->taps * c->n_in + 1) * WIDTH;
}

static integer packed_numbers(const Convolution *c)
{
    integer forth = share_numbers(c), back = panels(c->n_in) * c->taps * c->n_out * WIDTH;
    return forth > back ? forth : back;
}

/* Numbers that `scratch` has to hold: the weights in panels, and for each piece of the rows a
 * gradient. */
integer convolution_scratch(const Convolution *c)
{
    return packed_numbers(c) + pieces_of(apart(c), least(c)) * share_numbers(c);
}

/* The gradient of a piece, after the weights in panels. */
static float *share_of(const Convolution *c, integer piece)
{
    return c->scratch + packed_numbers(c) + piece * share_numbers(c);
}

/* The gradient before the activation. */
static Matrix inner_grad(const Convolution *c)
{
    const Matrix slopes = {c->slope, c->n_out, 1};
    return c->slope ? slopes : c->grad;
}

/* Lay out weights as [panel][tap][out][WIDTH of in]; zeros fill the last panel. */
static void pack(const Convolution *c)
{
    integer depth = c->taps * c->n_out;
    memset(c->scratch, 0, sizeof(float) * WIDTH * panels(c->n_in) * depth);
    for (integer o = 0; o < c->n_out; o++)
        for (integer i = 0; i < c->n_in; i++) {
            float *panel = c->scratch + i / WIDTH * depth * WIDTH + i % WIDTH;
            for (integer t = 0; t < c->taps; t++)
                panel[(t * c->n_out + o) * WIDTH] = c->weight[(o * c->n_in + i) * c->taps + t];
        }
}

/* Multiply the kept slopes by the gradient, some rows of them. */
static void activate_back(const Convolution *c, integer row, integer rows)
{
    const Matrix slopes = {c->slope, c->n_out, 1};
    for (integer i = row; i < row + rows; i++)
        for (integer first = 0; first < c->n_out; first += WIDTH) {
            integer n = columns_left(c->n_out, first);
            vec slope[2], grad[2];
            get(slopes, i, first, n, slope);
            get(c->grad, i, first, n, grad);
            slope[0] *= grad[0];
            slope[1] *= grad[1];
            put(slopes, i, first, n, slope);
        }
}

INLINE void weight_tile(int tall, const float *const *in, Matrix strides, integer column,
                        integer rows, const float *grad, float *share)
{
    vec tile[ROWS][2];
    for (int i = 0; i < tall; i++) {
        tile[i][0] = load(share + i * WIDTH);
        tile[i][1] = load(share + i * WIDTH + LANES);
    }
    if (strides.column == 1)
        add_listed_columns(tile, tall, in, column, grad, WIDTH, rows);
    else
        add_products(tile, tall, in[0] + column * strides.column, strides.column, strides.row, grad,
                     WIDTH, rows);
    for (int i = 0; i < tall; i++) {
        store(share + i * WIDTH, tile[i][0]);
        store(share + i * WIDTH + LANES, tile[i][1]);
    }
}

/* Ask for some rows of the input ahead of use: a weight gradient reads a few columns of many rows at
 * a time, which the processor does not foresee. */
static void fetch(const Convolution *c, integer row, integer rows)
{
    for (integer t = 0; t < (c->batch > 1 ? c->taps : 1); t++)
        for (integer i = row + t * c->batch; i < row + t * c->batch + rows; i++)
            for (integer k = 0; k < c->n_in; k += 16)
                __builtin_prefetch(input_row(c, i) + k);
}

/* Add what some rows give to a piece's share: [panel][tap][in][WIDTH of out], then the bias. */
static void add_to_share(const Convolution *c, Matrix inner, integer row, integer rows,
                         float *share)
{
    float grad[BLOCK * WIDTH] __attribute__((aligned(64)));
    integer depth = c->taps * c->n_in;
    if (c->input.column == 1)
        fetch(c, row, rows);
    for (integer first = 0; first < c->n_out; first += WIDTH) {
        float *of_bias = share + panels(c->n_out) * depth * WIDTH + first;
        vec total[2] = {load(of_bias), load(of_bias + LANES)};
        for (integer i = 0; i < rows; i++) {
            vec tile[2];
            get(inner, row + i, first, columns_left(c->n_out, first), tile);
            total[0] += tile[0];
            total[1] += tile[1];
            memcpy(grad + i * WIDTH, tile, sizeof tile);
        }
        memcpy(of_bias, total, sizeof total);
        for (integer t = 0; t < c->taps; t++) {
            float *of_tap = share + (first / WIDTH * depth + t * c->n_in) * WIDTH;
            const float *in[BLOCK];
            for (integer i = 0; i < rows; i++)
                in[i] = input_row(c, row + i + t * c->batch);
            integer i = 0;
            for (; i + ROWS <= c->n_in; i += ROWS)
                weight_tile(ROWS, in, c->input, i, rows, grad, of_tap + i * WIDTH);
            for (; i + ROWS / 2 <= c->n_in; i += ROWS / 2)
                weight_tile(ROWS / 2, in, c->input, i, rows, grad, of_tap + i * WIDTH);
            for (; i < c->n_in; i++)
                weight_tile(1, in, c->input, i, rows, grad, of_tap + i * WIDTH);
        }
    }
}

/* A few columns of a row of the weight gradient, or of the bias: the sum of all shares. */
INLINE void sum_shares(const Convolution *c, integer shares, const float *first, float *to,
                       integer distance, integer n)
{
    vec total[2] = {load(first), load(first + LANES)};
    for (integer each = 1; each < shares; each++) {
        total[0] += load(first + each * share_numbers(c));
        total[1] += load(first + each * share_numbers(c) + LANES);
    }
    put((Matrix){to, 0, distance}, 0, 0, n, total);
}

/* The gradients of weight and bias, by some inputs. */
static void sum_inputs(const Convolution *c, integer shares, integer input, integer end)
{
    integer depth = c->taps * c->n_in;
    for (integer first = 0; first < c->n_out; first += WIDTH) {
        const float *panel = share_of(c, 0) + first * depth;
        integer n = columns_left(c->n_out, first);
        for (integer i = input; c->weight_grad && i < end; i++)
            for (integer t = 0; t < c->taps; t++)
                sum_shares(c, shares, panel + (t * c->n_in + i) * WIDTH,
                           c->weight_grad + (first * c->n_in + i) * c->taps + t, depth, n);
        if (c->bias_grad && end == c->n_in) /* in one piece, though several may have no input */
            sum_shares(c, shares, share_of(c, 0) + panels(c->n_out) * depth * WIDTH + first,
                       c->bias_grad + first, 1, n);
    }
}

static void share_rows(const Convolution *c, integer row, integer end, integer piece)
{
    if (c->slope)
        activate_back(c, row, end - row);
    if (c->weight_grad || c->bias_grad)
        add_to_share(c, inner_grad(c), row, end - row, share_of(c, piece));
}

static void share_piece(const void *c, Piece piece)
{
    memset(share_of(c, piece.number), 0, sizeof(float) * share_numbers(c));
    over_rows(c, BLOCK, piece, share_rows);
}

/* Tell whether `rows` rows from `row` lie inside the output: 1 all, 0 some, -1 none. */
INLINE int inside(const Convolution *c, integer row, integer rows)
{
    if (row + rows <= 0 || row >= c->rows)
        return -1;
    return row >= 0 && row + rows <= c->rows;
}

INLINE void backward_tile(const Convolution *c, Matrix inner, int rows, integer row,
                          integer first)
{
    const float *packed = c->scratch + first * c->taps * c->n_out;
    integer n = columns_left(c->n_in, first);
    vec tile[ROWS][2] = {{{0}}};
    for (integer t = 0; t < c->taps; t++) {
        integer from = row - t * c->batch;
        if (inside(c, from, rows) != 1)
            continue;
        const float *grad = inner.at + from * inner.row;
        const float *weights = packed + t * c->n_out * WIDTH;
        if (inner.column == 1)
            add_products(tile, rows, grad, inner.row, 1, weights, WIDTH, c->n_out);
        else
            add_products(tile, rows, grad, inner.row, inner.column, weights, WIDTH, c->n_out);
    }
    for (int i = 0; i < rows; i++) {
        integer from = row + i - c->before * c->batch;
        if (c->before >= 0 && inside(c, from, 1) == 1) {
            vec shortcut[2];
            get(c->grad, from, first, n, shortcut);
            tile[i][0] += shortcut[0];
            tile[i][1] += shortcut[1];
        }
        put(c->input_grad, row + i, first, n, tile[i]);
    }
}

/* Whether each tap reaches all of these rows, or none of them. */
static int is_uniform(const Convolution *c, integer row, integer rows)
{
    for (integer t = 0; t < c->taps; t++)
        if (!inside(c, row - t * c->batch, rows))
            return 0;
    return 1;
}

static void input_gradient(const Convolution *c, Matrix inner, integer row, integer end)
{
    while (row < end) {
        int whole = row + ROWS <= end && is_uniform(c, row, ROWS);
        for (integer first = 0; first < c->n_in; first += WIDTH)
            if (whole)
                backward_tile(c, inner, ROWS, row, first);
            else
                backward_tile(c, inner, 1, row, first);
        row += whole ? ROWS : 1;
    }
}

static void last_piece(const void *argument, Piece piece)
{
    const Convolution *c = argument;
    sum_inputs(c, pieces_of(apart(c), least(c)), c->n_in * piece.number / piece.of,
               c->n_in * (piece.number + 1) / piece.of);
    if (c->input_grad.at)
        input_gradient(c, inner_grad(c), piece.first, piece.end);
}

void convolution_backward(const Convolution *c)
{
    integer wide = c->rows + (c->taps - 1) * c->batch; /* rows of the input */
    pack(c);
    in_pieces(c->threads, apart(c), ROWS, least(c), share_piece, c);
    /* Only now the gradient of the input, for it may take the place of the input. */
    in_pieces(c->threads, wide, ROWS, 128, last_piece, c);
}
