/* Vectors of LANES floats in the notation of GCC and Clang: one source for every processor.
 *
 * Results are the same bits whatever LANES is, where the processor multiplies and adds in one
 * rounding: what is summed across lanes is summed in a STRIPE of a fixed number of them, and nothing
 * is contracted but by `madd`.
 *
 * A tile is a few rows by WIDTH columns of a product, held in registers while the sum runs.
 */
#ifndef GREVY_VECTOR_H
#define GREVY_VECTOR_H

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "structures.h"

#define WIDTH (2 * LANES)
#define ROWS 8
#define STRIPE 16
#define PARTS (STRIPE / LANES)
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

/* a * b + c in one rounding; in two on processors without. */
INLINE vec madd(vec a, vec b, vec c)
{
#if LANES == 16
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANES == 8
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

INLINE vec all(float number)
{
    return number - (vec){0};
}

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

/* The sum of a stripe, lane after lane. */
INLINE float sum(const vec stripe[PARTS])
{
    float total = 0;
    for (int lane = 0; lane < STRIPE; lane++)
        total += stripe[lane / LANES][lane % LANES];
    return total;
}

/* 2^x for x <= 127, for all x below -100 what it is there, NaN for NaN; relative error below 2e-7.
 * x = n + r, and a polynomial for 2^r, minimax on [-1/2, 1/2]. */
INLINE vec power_of_two(vec x)
{
    const float shifter = 12582912.0f + 127.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    vec kept = larger(all(-100.0f), x);
    vec shifted = kept + shifter; /* its low bits are those of a float's exponent */
    vec r = kept - (shifted - shifter);
    vec p = madd(r, all(1.326472382e-3f), all(9.671512991e-3f));
    p = madd(p, r, all(5.550733581e-2f));
    p = madd(p, r, all(2.402224243e-1f));
    p = madd(p, r, all(6.931470037e-1f));
    p = madd(p, r, all(1.0f));
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
            vec factor = all(a[i * row + k * column]);
            sums[i][0] = madd(factor, left, sums[i][0]);
            sums[i][1] = madd(factor, right, sums[i][1]);
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
            sums[i][0] = madd(all(a[i][k]), left, sums[i][0]);
            sums[i][1] = madd(all(a[i][k]), right, sums[i][1]);
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
            sums[i][0] = madd(all(factors[i]), left, sums[i][0]);
            sums[i][1] = madd(all(factors[i]), right, sums[i][1]);
        }
    }
}

#endif
