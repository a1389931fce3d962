/* SHA-1 (RFC 3174) of a short text, in hexadecimal: the MAC of a report, as the dialplan's SHA1() computes it. */
#ifndef SHA1_H
#define SHA1_H
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t rotated(uint32_t word, int by) { return word << by | word >> (32 - by); }

static void sha1_block(uint32_t state[5], const unsigned char *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int t = 0; t < 16; t++) w[t] = (uint32_t)block[t * 4] << 24 | (uint32_t)block[t * 4 + 1] << 16 | (uint32_t)block[t * 4 + 2] << 8 | block[t * 4 + 3];
    for (int t = 16; t < 80; t++) w[t] = rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f = t < 20 ? (b & c) | (~b & d) : t < 40 ? b ^ c ^ d : t < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = t < 20 ? 0x5A827999 : t < 40 ? 0x6ED9EBA1 : t < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
        uint32_t next = rotated(a, 5) + f + e + w[t] + k;
        e = d; d = c; c = rotated(b, 30); b = a; a = next;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e;
}

/* `length` is at most 439: the text, its end mark and its length fill up to seven blocks. `hex` gets 40 digits and a NUL. */
static void sha1_hex(const char *text, size_t length, char hex[41]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char blocks[448] = {0};
    size_t used = (length + 9 + 63) / 64 * 64;
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    blocks[used - 2] = (unsigned char)(length * 8 >> 8);
    blocks[used - 1] = (unsigned char)(length * 8);
    for (size_t each = 0; each < used; each += 64) sha1_block(state, blocks + each);
    for (int each = 0; each < 5; each++) sprintf(hex + each * 8, "%08x", state[each]);
}
#endif
