/* What Python hands over: `structures.py` mirrors every structure here, name by name. The lists are
 * read twice, as structures and by layout.c, which tells Python where C has put what. */
#ifndef GREVY_STRUCTURES_H
#define GREVY_STRUCTURES_H

#include "team.h"

/* A matrix as it lies; distances between neighbours, in numbers. */
#define MATRIX(of) of(float *, at) of(integer, row) of(integer, column)

/* out[r] = act(bias + sum_t input[r + t * batch] W_t) + input[r + before * batch]: convolution.h.
 *
 * `rows` are those of the output, a multiple of `batch`; `before` is -1 where there is no shortcut.
 * With an index, row r of the input is row index[r] of `input`, whose numbers lie side by side, and
 * there is no shortcut and no input_grad. Without a slope (rows, n_out) there is no activation.
 * bias, input_grad.at, weight_grad and bias_grad may be null; weight is (n_out, n_in, taps). */
#define CONVOLUTION(of)                                                                            \
    of(integer, rows) of(integer, batch) of(integer, taps) of(integer, n_in) of(integer, n_out)    \
    of(integer, before) of(integer, threads) of(const float *, weight) of(const float *, bias)     \
    of(Matrix, input) of(Matrix, output) of(const integer *, index) of(float *, slope)             \
    of(Matrix, grad) of(Matrix, input_grad) of(float *, weight_grad) of(float *, bias_grad)        \
    of(float *, scratch)

/* R references, M negatives (columns), D dimensions (depth); scale is b, the inverse temperature.
 * loss: total, positive and negative part, gradient by b, largest |x|^2 of any r or n. */
#define INFONCE(of)                                                                                \
    of(integer, rows) of(integer, columns) of(integer, depth) of(integer, euclidean)               \
    of(integer, threads) of(double, scale)                                                         \
    of(Matrix, reference) of(Matrix, positive) of(Matrix, negative)                                \
    of(Matrix, reference_grad) of(Matrix, positive_grad) of(Matrix, negative_grad)                 \
    of(float *, loss) of(float *, scratch)

/* index (n,); rows of `output`. */
#define MOVED_ROWS(of)                                                                             \
    of(integer, n) of(integer, columns) of(integer, rows) of(integer, threads)                     \
    of(Matrix, source) of(Matrix, output) of(const integer *, index)

/* lengths (rows,) are kept for the way back. */
#define LENGTHS(of)                                                                                \
    of(integer, rows) of(integer, columns) of(integer, threads) of(Matrix, input)                  \
    of(Matrix, output) of(Matrix, grad) of(Matrix, input_grad) of(float *, lengths)

/* `largest` only with amsgrad, else null; step: updates so far. */
#define MOMENTS(of)                                                                                \
    of(float *, weight) of(float *, mean) of(float *, square) of(float *, largest)                 \
    of(const float *, grad) of(float *, step) of(integer, size)

#define ADAM(of)                                                                                   \
    of(double, rate) of(double, beta1) of(double, beta2) of(double, decay) of(double, epsilon)     \
    of(integer, decoupled) of(integer, maximize)

/* source (points, dims) is used to build; period (dims,): 0, or the length of a circle, on which
 * points are in [0, it); values (leaves, dims, slots); boxes (2 leaves - 1, dims, 2): least and
 * largest; order (points,): those of one leaf after those of the one before. */
#define TREE(of)                                                                                   \
    of(integer, points) of(integer, dims) of(integer, levels) of(integer, slots)                   \
    of(const double *, source) of(const double *, period) of(double *, values)                     \
    of(double *, boxes) of(int32_t *, order)

/* at (n, dims); draws (n,), in [0, 1): which of the samples that are equally near; samples of point
 * p are samples[starts[p] .. starts[p + 1]), or samples[p] alone where starts is null; found (n,). */
#define QUERIES(of)                                                                                \
    of(integer, n) of(integer, threads) of(const double *, at) of(const double *, draws)           \
    of(const int32_t *, samples) of(const integer *, starts) of(integer *, found)

/* A call that is made with others. */
#define STEP(of) of(void *, function) of(const void *, argument)

#define MEMBER(type, name) type name;
#define STRUCTURE(name, list) typedef struct { list(MEMBER) } name;

#define EVERY_STRUCTURE(of)                                                                        \
    of(Matrix, MATRIX) of(Convolution, CONVOLUTION) of(InfoNCE, INFONCE) of(Rows, MOVED_ROWS)      \
    of(Lengths, LENGTHS) of(Moments, MOMENTS) of(Adam, ADAM) of(Tree, TREE) of(Queries, QUERIES)   \
    of(Step, STEP)
EVERY_STRUCTURE(STRUCTURE)

#endif
