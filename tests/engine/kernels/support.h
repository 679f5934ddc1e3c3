/* Numbers to compute with, memory that notices who writes beside it, and what was computed as a hash:
 * integers alone decide, so that the lines that are printed are the same on every machine. */
#ifndef GREVY_SUPPORT_H
#define GREVY_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "structures.h"

/* The functions of the loops. */
void convolution_forward(const Convolution *c);
void convolution_backward(const Convolution *c);
integer convolution_scratch(const Convolution *c);
void infonce_gradient(const InfoNCE *l);
integer infonce_scratch(const InfoNCE *l);
void adam_update(const Moments *all, integer n, const Adam *adam);
void rows_gather(const Rows *r);
void rows_sum(const Rows *r);
void lengths_forward(const Lengths *l);
void lengths_backward(const Lengths *l);
integer windows_cover(const integer *start, integer n, integer width, integer length,
                      int32_t *place, integer room, integer *kept, integer *first);
integer stretches_read(integer descriptor, integer n, const integer *places, const integer *sizes,
                       const integer *begins, char *to, integer threads);
void tree_build(const Tree *t);
integer tree_nearest(const Tree *t, const Queries *q);
void run_steps(const Step *steps, integer n);

/* What the driver does with them. */
uint64_t trained(integer threads);

#define LENGTH(list) ((integer)(sizeof(list) / sizeof *(list)))

/* Status 1: a result is wrong; 2: memory. */
static inline void stop(int status, const char *why)
{
    fprintf(stderr, "driver: %s\n", why);
    _Exit(status);
}

/* Knuth's MMIX; each case begins with a state of its own. */
typedef struct {
    uint64_t state;
} Draw;

static inline uint32_t drawn(Draw *from)
{
    from->state = from->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(from->state >> 32);
}

static inline integer below(Draw *from, integer end)
{
    return drawn(from) % end;
}

/* In [-1, 1), exact in a float. */
static inline float number(Draw *from)
{
    return (float)((integer)(drawn(from) >> 8) - (1 << 23)) / (1 << 23);
}

/* Memory between two fences; address sanitizers put up better ones. */
#if defined(__SANITIZE_ADDRESS__)
#define FENCE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FENCE 0
#endif
#endif
#ifndef FENCE
#define FENCE 256
#endif

typedef struct {
    integer bytes;
    char *memory;
} Block;

/* What one case has taken. */
typedef struct {
    Block blocks[64];
    integer n;
    Draw draw;
} Room;

/* Room for so many bytes: all ones, which as floats are no numbers. */
static inline void *take(Room *room, integer bytes)
{
    Block *block = room->blocks + room->n++;
    if (room->n > LENGTH(room->blocks))
        stop(2, "too many blocks");
    block->bytes = bytes;
    block->memory = malloc(bytes + 2 * FENCE);
    if (!block->memory)
        stop(2, "no memory");
    memset(block->memory, 0x5A, FENCE);
    memset(block->memory + FENCE, 0xFF, bytes);
    memset(block->memory + FENCE + bytes, 0x5A, FENCE);
    return block->memory + FENCE;
}

/* Give everything back, once nobody has written beside it. */
static inline void leave(Room *room)
{
    for (integer i = 0; i < room->n; i++) {
        const Block *block = room->blocks + i;
        for (integer k = 0; k < FENCE; k++)
            if (block->memory[k] != 0x5A || block->memory[FENCE + block->bytes + k] != 0x5A)
                stop(2, "a loop wrote beside its memory");
        free(block->memory);
    }
    room->n = 0;
}

static inline float *floats(Room *room, integer n)
{
    return take(room, sizeof(float) * n);
}

static inline float *numbers(Room *room, integer n, float scale)
{
    float *all = floats(room, n);
    for (integer i = 0; i < n; i++)
        all[i] = scale * number(&room->draw);
    return all;
}

static inline integer *indices(Room *room, integer n, integer end)
{
    integer *all = take(room, sizeof(integer) * n);
    for (integer i = 0; i < n; i++)
        all[i] = below(&room->draw, end);
    return all;
}

static inline Matrix as_matrix(float *all, integer rows, integer columns, int is_transposed)
{
    return is_transposed ? (Matrix){all, 1, rows} : (Matrix){all, columns, 1};
}

/* FNV-1a, 64 bits. */
static inline uint64_t hashed(uint64_t hash, const void *bytes, integer n)
{
    for (integer i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return hash;
}

#define START 14695981039346656037u

/* The same of floats, none of which may be what `take` had left there. */
static inline uint64_t hashed_floats(uint64_t hash, const float *all, integer n)
{
    for (integer i = 0; i < n; i++)
        if (!(all[i] - all[i] == 0))
            stop(1, "a result is not a finite number");
    return hashed(hash, all, sizeof(float) * n);
}

#endif
