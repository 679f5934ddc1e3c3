/* Vectors of LANES floats in the notation of GCC and Clang: one source for every processor.
 *
 * A tile is a few rows by WIDTH columns of a product, held in registers while the sum runs.
 */
#ifndef GREVY_VECTOR_H
#define GREVY_VECTOR_H

#include <stdint.h>
#include <string.h>

#define WIDTH (2 * LANES)
#define ROWS 8
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef int64_t integer;

/* A matrix as it lies; distances between neighbours, in numbers. */
typedef struct {
    float *at;
    integer row, column;
} Matrix;

INLINE float *at(Matrix of, integer row, integer column)
{
    return of.at + row * of.row + column * of.column;
}

INLINE vec load(const float *from)
{
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(float *to, vec v)
{
    memcpy(to, &v, sizeof v);
}

/* The first n numbers of a vector; zeros fill it. */
INLINE vec load_some(const float *from, integer n)
{
    vec v = {0};
    if (n == LANES)
        return load(from);
    memcpy(&v, from, sizeof(float) * n);
    return v;
}

INLINE void store_some(float *to, vec v, integer n)
{
    if (n == LANES)
        store(to, v);
    else
        memcpy(to, &v, sizeof(float) * n);
}

INLINE vec pick(ivec which, vec yes, vec no)
{
    return (vec)((which & (ivec)yes) | (~which & (ivec)no));
}

INLINE vec larger(vec a, vec b)
{
    return pick(a > b, a, b);
}

INLINE float sum(vec v)
{
    float total = 0;
    for (int lane = 0; lane < LANES; lane++)
        total += v[lane];
    return total;
}

/* 2^x for x <= 127, for all x below -100 what it is there, NaN for NaN; relative error below 2e-7.
 * x = n + r, and a polynomial for 2^r, minimax on [-1/2, 1/2]. */
INLINE vec power_of_two(vec x)
{
    const float shifter = 12582912.0f + 127.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    vec kept = larger(-100.0f - (vec){0}, x);
    vec shifted = kept + shifter; /* its low bits are those of a float's exponent */
    vec r = kept - (shifted - shifter);
    vec p = r * 1.326472382e-3f + 9.671512991e-3f;
    p = p * r + 5.550733581e-2f;
    p = p * r + 2.402224243e-1f;
    p = p * r + 6.931470037e-1f;
    p = p * r + 1.0f;
    return p * (vec)((ivec)shifted << 23);
}

/* sums[i][:] += sum_k a[i * row + k * column] * b[k * stride + 0 .. WIDTH), for i below `rows`,
 * which has to be a constant. */
INLINE void add_products(vec sums[][2], int rows, const float *a, integer row, integer column,
                         const float *b, integer stride, integer depth)
{
    for (integer k = 0; k < depth; k++) {
        vec left = load(b + k * stride), right = load(b + k * stride + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            float factor = a[i * row + k * column];
            sums[i][0] += factor * left;
            sums[i][1] += factor * right;
        }
    }
}

/* The same with a[i][k], */
INLINE void add_listed_rows(vec sums[][2], int rows, const float *const *a, const float *b,
                            integer stride, integer depth)
{
    for (integer k = 0; k < depth; k++) {
        vec left = load(b + k * stride), right = load(b + k * stride + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            sums[i][0] += a[i][k] * left;
            sums[i][1] += a[i][k] * right;
        }
    }
}

/* and with a[k][first + i]. */
INLINE void add_listed_columns(vec sums[][2], int rows, const float *const *a, integer first,
                               const float *b, integer stride, integer depth)
{
    for (integer k = 0; k < depth; k++) {
        const float *factors = a[k] + first;
        vec left = load(b + k * stride), right = load(b + k * stride + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            sums[i][0] += factors[i] * left;
            sums[i][1] += factors[i] * right;
        }
    }
}

/* Where part number `part` of `parts` begins, in whole steps of `step`, of `length`. */
INLINE integer part_of(integer length, integer step, integer part, integer parts)
{
    integer steps = (length + step - 1) / step;
    integer at = steps * part / parts * step;
    return at < length ? at : length;
}

#endif
