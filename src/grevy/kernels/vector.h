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

/* e^x for x <= 88, 0 below -87, NaN for NaN: x = n log 2 + r, and a polynomial for e^r (S. L. Moshier's
 * Cephes library, expf: 2 units in the last place). */
INLINE vec exponential(vec x)
{
    const float shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const vec least = -87.3f - (vec){0};
    vec kept = larger(x, least);
    vec shifted = kept * 1.44269504f + shifter;
    vec n = shifted - shifter;
    vec r = kept - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec scaled = (ivec)p + ((ivec)shifted << 23); /* the low bits of `shifted` hold n */
    return pick(x != x, x, (vec)(scaled & (x > least)));
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

/* Where part number `part` of `parts` begins, in whole steps of `step`, of `length`. */
INLINE integer part_of(integer length, integer step, integer part, integer parts)
{
    integer steps = (length + step - 1) / step;
    integer at = steps * part / parts * step;
    return at < length ? at : length;
}

#endif
