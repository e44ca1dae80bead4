/* internal -- parameters of ML-DSA-87 (FIPS 204, section 4, table 1) and what the files of
 * this library give one another. Not for users of the library; its tests look in. */
#ifndef MLDSA_INTERNAL_H
#define MLDSA_INTERNAL_H

#include "mldsa/mldsa.h"

#define Q      8380417
#define N      256u           /* coefficients of a polynomial     */
#define K      8u             /* rows of the matrix               */
#define L      7u             /* its columns                      */
#define D      13             /* bits of t that the key leaves out */
#define TAU    60u            /* coefficients of c that are +-1   */
#define BETA   120            /* tau * eta                        */
#define GAMMA1 (1 << 19)      /* range of z                       */
#define GAMMA2 ((Q - 1) / 32) /* half the step of the high bits   */
#define OMEGA  75u            /* hints in a signature, at most    */

#define SEED_LEN      32u          /* rho                     */
#define CHALLENGE_LEN 64u          /* c~, lambda / 4          */
#define T1_LEN        (N * 10 / 8) /* a polynomial of the key */
#define Z_LEN         (N * 20 / 8) /* one of z                */
#define W1_LEN        (N * 4 / 8)  /* one of w1               */
#define HINT_LEN      (OMEGA + K)

/* Representatives are signed and need not be the least ones; ntt.c says how large. */
typedef struct poly {
    int32_t c[N];
} poly;

/* ---- ntt.c ---- */

/* x times 2^-32 modulo q, between -q and q, for |x| < 2^31 q. */
int32_t mont_reduce(int64_t x);
/* Coefficients within q in, within 9 q out. */
void ntt(poly *p);
/* Takes coefficients within q that lack a factor of 2^32, as mont_reduce() leaves them.
 * Out: 0 to q - 1, nothing lacking. */
void ntt_inverse(poly *p);

/* ---- sample.c ---- */

/* sum += a * z, where a is the polynomial of row and column of the matrix. It comes out of
 * the seed piece by piece and is never kept. */
void expand_a_multiply(int64_t sum[N], const poly *z, const uint8_t rho[SEED_LEN], uint8_t row,
                       uint8_t column);
void sample_in_ball(poly *c, const uint8_t seed[CHALLENGE_LEN]);

/* ---- coding.c ---- */

/* The polynomial of t1, times 2^d. */
void t1_unpack(poly *t, const uint8_t in[T1_LEN]);
/* False: a coefficient is not smaller than gamma1 - beta. */
bool z_unpack(poly *z, const uint8_t in[Z_LEN]);
/* Whether the hints are written in the one way that is allowed. */
bool hint_valid(const uint8_t in[HINT_LEN]);
/* One row of valid hints, 0 or 1 for each coefficient. */
void hint_row(uint8_t row[N], const uint8_t in[HINT_LEN], unsigned i);
/* The high bits of w, set right by the hints. */
void w1_pack(uint8_t out[W1_LEN], const poly *w, const uint8_t hints[N]);

/* ---- verify.c ---- */

/* Algorithm 8: the message is head, then the pieces. mldsa87_verify() is this with the two
 * bytes of an empty context in front. */
bool mldsa_verify_internal(const uint8_t key[MLDSA87_KEY_LEN], mldsa_part head,
                           const mldsa_part *parts, size_t n, const uint8_t sig[MLDSA87_SIG_LEN]);

#endif
