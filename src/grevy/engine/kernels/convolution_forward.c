/* A convolution, its activation and its shortcut: the way forward. See convolution.h. */
#include "convolution.h"

/* Lay out weights as [panel][tap][in][WIDTH of out], then the bias; zeros fill the last panel. */
static void pack(const Convolution *c)
{
    integer depth = c->taps * c->n_in;
    memset(c->scratch, 0, sizeof(float) * WIDTH * panels(c->n_out) * (depth + 1));
    float *bias = c->scratch + panels(c->n_out) * depth * WIDTH;
    for (integer o = 0; o < c->n_out; o++) {
        float *panel = c->scratch + o / WIDTH * depth * WIDTH + o % WIDTH;
        for (integer i = 0; i < c->n_in; i++)
            for (integer t = 0; t < c->taps; t++)
                panel[(t * c->n_in + i) * WIDTH] = c->weight[(o * c->n_in + i) * c->taps + t];
        bias[o] = c->bias ? c->bias[o] : 0;
    }
}

/* x Phi(x) and its slope. Phi by Abramowitz & Stegun (1964), 7.1.26: error below 1.5e-7. */
INLINE vec gelu(vec x, vec *slope)
{
    const float root_half = 0.70710678f, log2_e = 1.44269504f, root_tau = 2.50662827f;
    vec density = power_of_two(x * x * all(-0.5f * log2_e));
    vec t = 1.0f / madd(larger(x, -x), all(0.3275911f * root_half), all(1.0f));
    vec p = madd(t, all(0.5f * 1.061405429f), all(-0.5f * 1.453152027f));
    p = madd(p, t, all(0.5f * 1.421413741f));
    p = madd(p, t, all(-0.5f * 0.284496736f));
    p = madd(p, t, all(0.5f * 0.254829592f));
    vec tail = p * t * density;
    vec phi = pick(x < 0.0f, tail, 1.0f - tail);
    *slope = madd(density, x * all(1.0f / root_tau), phi);
    return x * phi;
}

/* Activate and write a tile of the output: `rows` rows from `row`, columns from `first`. */
INLINE void finish_forward(const Convolution *c, vec tile[][2], int rows, integer row,
                           integer first, const float *bias)
{
    const Matrix slopes = {c->slope, c->n_out, 1};
    integer n = columns_left(c->n_out, first);
    for (int i = 0; i < rows; i++) {
        vec out[2] = {tile[i][0] + load(bias), tile[i][1] + load(bias + LANES)};
        if (c->slope) {
            vec slope[2];
            out[0] = gelu(out[0], slope);
            out[1] = gelu(out[1], slope + 1);
            put(slopes, row + i, first, n, slope);
        }
        if (c->before >= 0) {
            vec shortcut[2];
            get(c->input, row + i + c->before * c->batch, first, n, shortcut);
            out[0] += shortcut[0];
            out[1] += shortcut[1];
        }
        put(c->output, row + i, first, n, out);
    }
}

INLINE void forward_tile(const Convolution *c, int rows, integer row, integer first)
{
    integer depth = c->taps * c->n_in;
    const float *packed = c->scratch + first * depth;
    const float *bias = c->scratch + panels(c->n_out) * depth * WIDTH + first;
    vec tile[ROWS][2] = {{{0}}};
    for (integer t = 0; t < c->taps; t++) {
        const float *in = c->input.at + (row + t * c->batch) * c->input.row;
        const float *weights = packed + t * c->n_in * WIDTH;
        if (c->index) {
            const float *listed[ROWS];
            for (int i = 0; i < rows; i++)
                listed[i] = input_row(c, row + i + t * c->batch);
            add_listed_rows(tile, rows, listed, weights, WIDTH, c->n_in);
        } else if (c->input.column == 1)
            add_products(tile, rows, in, c->input.row, 1, weights, WIDTH, c->n_in);
        else
            add_products(tile, rows, in, c->input.row, c->input.column, weights, WIDTH, c->n_in);
    }
    finish_forward(c, tile, rows, row, first, bias);
}

static void forward_rows(const Convolution *c, integer row, integer end, integer piece)
{
    (void)piece;
    for (; row + ROWS <= end; row += ROWS)
        for (integer first = 0; first < c->n_out; first += WIDTH)
            forward_tile(c, ROWS, row, first);
    for (; row < end; row++)
        for (integer first = 0; first < c->n_out; first += WIDTH)
            forward_tile(c, 1, row, first);
}

static void forward_piece(const void *c, Piece piece)
{
    over_rows(c, ROWS, piece, forward_rows);
}

void convolution_forward(const Convolution *c)
{
    pack(c);
    in_pieces(c->threads, apart(c), ROWS, least(c), forward_piece, c);
}
