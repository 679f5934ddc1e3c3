/* Threads that share work in pieces; see team.c. */
#ifndef GREVY_TEAM_H
#define GREVY_TEAM_H

#include <stdint.h>

typedef int64_t integer;

#define MOST_PIECES 16

/* A stretch [first, end) of what is to be done, number `number` of `of`. Nobody else has the seat
 * meanwhile, which is below the number of threads. */
typedef struct {
    integer first, end, number, of, seat;
} Piece;

typedef void (*Act)(const void *argument, Piece piece);

/* Cut a length into pieces, and have them done by at most `threads` threads, the caller among them.
 *
 * Pieces are as many as `pieces_of` says, each of whole steps but the last. */
void in_pieces(integer threads, integer length, integer step, integer least, Act act,
               const void *argument);

/* Into how many pieces to cut a length, the same number on any machine: none below `least`, and a
 * power of two, which most numbers of threads share evenly. */
static inline integer pieces_of(integer length, integer least)
{
    integer pieces = 1;
    while (pieces < MOST_PIECES && 2 * pieces * least <= length)
        pieces *= 2;
    return pieces;
}

/* How many threads are of use: seats are below it. */
static inline integer seats_of(integer threads, integer pieces)
{
    return threads < 1 ? 1 : threads < pieces ? threads : pieces;
}

#endif
