/* Threads that share work in pieces; see team.c. */
#ifndef GREVY_TEAM_H
#define GREVY_TEAM_H

#include <stdint.h>

typedef int64_t integer;

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

/* Into how many pieces to cut a length: none much below `least`, and as many on any machine. */
static inline integer pieces_of(integer length, integer least)
{
    const integer most = 16, whole = least < 1 ? length : length / least;
    return whole < 1 ? 1 : whole < most ? whole : most;
}

#endif
