/* SPDX-License-Identifier: Apache-2.0 */
/* Unpadded base64, standard and URL-safe. RFC 4648; appendices: unpadded base64. */
#include "base/base64.h"

static const char alphabet_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

apr_size_t mx_base64_encode_to(char *out, mx_base64_e form, const void *p, apr_size_t len)
{
    const char *alphabet = form == MX_BASE64_URL ? alphabet_url : alphabet_std;
    const unsigned char *in = p;
    char *q = out;
    for (; len >= 3; in += 3, len -= 3) {
        *q++ = alphabet[in[0] >> 2];
        *q++ = alphabet[(in[0] & 0x03) << 4 | in[1] >> 4];
        *q++ = alphabet[(in[1] & 0x0F) << 2 | in[2] >> 6];
        *q++ = alphabet[in[2] & 0x3F];
    }
    if (len) {
        *q++ = alphabet[in[0] >> 2];
        *q++ = alphabet[(in[0] & 0x03) << 4 | (len == 2 ? in[1] >> 4 : 0)];
        if (len == 2)
            *q++ = alphabet[(in[1] & 0x0F) << 2];
    }
    return (apr_size_t)(q - out);
}

char *mx_base64_encode(mx_base64_e form, const void *p, apr_size_t len, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, len / 3 * 4 + 5);
    out[mx_base64_encode_to(out, form, p, len)] = '\0';
    return out;
}

static int base64_value(mx_base64_e form, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (form == MX_BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (form == MX_BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

/** The text without its padding; APR_EINVAL for a length no base64 has. */
static apr_status_t base64_trim(mx_slice_t *text)
{
    apr_size_t padding = 0;
    while (padding < 2 && text->len && text->p[text->len - 1] == '=') {
        text->len--;
        padding++;
    }
    if (text->len % 4 == 1 || (padding && (text->len + padding) % 4 != 0))
        return APR_EINVAL;
    return APR_SUCCESS;
}

apr_status_t mx_base64_decode(unsigned char **pout, apr_size_t *plen, mx_base64_e form, mx_slice_t text, apr_pool_t *pool)
{
    unsigned char *out, *q;
    unsigned int bits = 0;
    int nbits = 0;
    apr_size_t i;
    if (base64_trim(&text) != APR_SUCCESS)
        return APR_EINVAL;
    q = out = apr_palloc(pool, text.len / 4 * 3 + 3);
    for (i = 0; i < text.len; i++) {
        int value = base64_value(form, text.p[i]);
        if (value < 0)
            return APR_EINVAL;
        bits = bits << 6 | (unsigned int)value;
        nbits += 6;
        if (nbits >= 8) {
            nbits -= 8;
            *q++ = (unsigned char)(bits >> nbits);
            bits &= (1u << nbits) - 1;
        }
    }
    *q = '\0';
    *pout = out;
    *plen = (apr_size_t)(q - out);
    return APR_SUCCESS;
}
