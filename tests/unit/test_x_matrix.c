/* SPDX-License-Identifier: Apache-2.0 */
/* The Authorization header between servers. SS-API: request authentication; RFC 9110, sections 5.6 and 11.4. */
#include "unit.h"

#include "core/x_matrix.h"

static const mx_error_t *parse(mx_x_matrix_t *out, const char *value)
{
    memset(out, 0, sizeof(*out));
    return mx_x_matrix_parse(out, mx_slice_str(value), pool);
}

typedef struct good_t {
    const char *value, *origin, *destination, *key, *sig;
} good_t;

START_TEST(what_the_specification_allows_is_read)
{
    static const good_t cases[] = {
        { "X-Matrix origin=\"origin.hs.example.com\",destination=\"destination.hs.example.com\",key=\"ed25519:key1\",sig=\"ABCDEF...\"",
          "origin.hs.example.com", "destination.hs.example.com", "ed25519:key1", "ABCDEF..." },
        { "X-Matrix origin=a.example,key=ed25519:1,sig=QUJD", "a.example", NULL, "ed25519:1", "QUJD" },
        { "X-Matrix origin=a.example:8448,key=\"ed25519:1\",sig=\"a+b/c=\"", "a.example:8448", NULL, "ed25519:1", "a+b/c=" },
        { "x-mATRIX ORIGIN=a,Key=ed25519:1,SIG=s,Destination=b", "a", "b", "ed25519:1", "s" },
        { "X-Matrix    sig=s \t,\t key=k:1 ,origin=\"a\"  ", "a", NULL, "k:1", "s" },
        { "X-Matrix ,, sig=s,,key=k:1,origin=a,", "a", NULL, "k:1", "s" },
        { "X-Matrix sig = s, key\t=\tk:1, origin = \"a\"", "a", NULL, "k:1", "s" },
        { "X-Matrix sig=\"\\s\\\"\\\\\",key=\"k\\:1\",origin=\"\\a\"", "a", NULL, "k:1", "s\"\\" },
        { "X-Matrix origin=\"[::1]:80\",key=k:1,sig=s,origin_ts=1,x=\"a,b=\xc3\xa4\"", "[::1]:80", NULL, "k:1", "s" },
    };
    mx_x_matrix_t got;
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const mx_error_t *err = parse(&got, cases[i].value);
        ck_assert_msg(err == NULL, "%s: %s", cases[i].value, err ? err->message : "");
        ck_assert_str_eq(got.origin, cases[i].origin);
        ck_assert_pstr_eq(got.destination, cases[i].destination);
        ck_assert_str_eq(got.key, cases[i].key);
        ck_assert_str_eq(got.sig, cases[i].sig);
    }
}
END_TEST

START_TEST(what_it_does_not_allow_is_refused_as_unauthorized)
{
    static const char *const cases[] = {
        "", "X-Matrix", "X-Matrix ", "Bearer abc", "X-Matrixorigin=a,key=k:1,sig=s", "X-Matrix\torigin=a,key=k:1,sig=s",
        "X-Matrix abcd==", "X-Matrix origin", "X-Matrix origin=", "X-Matrix origin=a,key=k:1", "X-Matrix origin=a,sig=s",
        "X-Matrix key=k:1,sig=s", "X-Matrix origin=a,key=k:1,sig=s,origin=a", "X-Matrix origin=a,key=k:1,sig=s,ORIGIN=a",
        "X-Matrix origin=a,key=k:1,sig=s,x=1,X=2", "X-Matrix origin=a,key=k:1,sig=\"s", "X-Matrix origin=a,key=k:1,sig=\"s\\",
        "X-Matrix origin=a,key=k:1,sig=\"s\"x", "X-Matrix origin=a key=k:1 sig=s", "X-Matrix origin=a;key=k:1;sig=s",
        "X-Matrix origin=a,key=k:1,sig=\"a\nb\"", "X-Matrix origin=a,key=k:1,sig=\"a\x7f\"", "X-Matrix origin=a,key=k:1,sig=a/b",
        "X-Matrix origin=a,key=k:1,sig=\"\"", "X-Matrix origin=a,key=k:1,sig=\"a b\"", "X-Matrix origin=a,key=k,sig=s",
        "X-Matrix origin=a,key=\":1\",sig=s", "X-Matrix origin=a,key=\"k:\",sig=s", "X-Matrix origin=\"a b\",key=k:1,sig=s",
        "X-Matrix origin=\"\",key=k:1,sig=s", "X-Matrix origin=a,destination=\"b/c\",key=k:1,sig=s", "X-Matrix origin=a,key=k:1,sig=s,=x",
    };
    mx_x_matrix_t got;
    int i;
    for (i = 0; i < UNIT_COUNT(cases); i++) {
        const mx_error_t *err = parse(&got, cases[i]);
        ck_assert_msg(err != NULL, "%s", cases[i]);
        ck_assert_int_eq(err->code, MX_E_UNAUTHORIZED);
        ck_assert_int_eq(err->status, 401);
        ck_assert_ptr_null(got.origin);
    }
}
END_TEST

START_TEST(length_and_number_of_parameters_are_bounded)
{
    const char *fine = "X-Matrix origin=a,key=k:1,sig=s", *many = fine;
    char *longer = apr_palloc(pool, MX_X_MATRIX_MAX_BYTES + 2);
    mx_x_matrix_t got;
    int i;
    for (i = 3; i < MX_X_MATRIX_PARAMS_MAX; i++)
        many = apr_psprintf(pool, "%s,x%d=1", many, i);
    ck_assert_ptr_null(parse(&got, many));
    ck_assert_ptr_nonnull(parse(&got, apr_pstrcat(pool, many, ",y=1", NULL)));
    ck_assert_ptr_nonnull(parse(&got, apr_pstrcat(pool, many, ",,", NULL)));
    memset(longer, ' ', MX_X_MATRIX_MAX_BYTES + 1);
    memcpy(longer, fine, strlen(fine));
    longer[MX_X_MATRIX_MAX_BYTES] = '\0';
    ck_assert_ptr_null(parse(&got, longer));
    longer[MX_X_MATRIX_MAX_BYTES] = ' ';
    longer[MX_X_MATRIX_MAX_BYTES + 1] = '\0';
    ck_assert_ptr_nonnull(parse(&got, longer));
}
END_TEST

START_TEST(what_we_write_is_the_form_that_older_servers_read)
{
    const mx_x_matrix_t params = { "a.example", "b.example:80", "ed25519:a_1", "QUJD" };
    const char *value = mx_x_matrix_write(&params, pool);
    mx_x_matrix_t got;
    ck_assert_str_eq(value, "X-Matrix origin=\"a.example\",destination=\"b.example:80\",key=\"ed25519:a_1\",sig=\"QUJD\"");
    ck_assert_ptr_null(parse(&got, value));
    ck_assert_str_eq(got.destination, params.destination);
    ck_assert_int_eq(mx_x_matrix_is(mx_slice_str(value)), 1);
    ck_assert_int_eq(mx_x_matrix_is(MX_SLICE_LIT("X-Matrix")), 1);
    ck_assert_int_eq(mx_x_matrix_is(MX_SLICE_LIT("X-Matrices a=b")), 0);
    ck_assert_int_eq(mx_x_matrix_is(MX_SLICE_LIT("Bearer X-Matrix")), 0);
}
END_TEST

UNIT_MAIN("x_matrix", what_the_specification_allows_is_read, what_it_does_not_allow_is_refused_as_unauthorized,
          length_and_number_of_parameters_are_bounded, what_we_write_is_the_form_that_older_servers_read)
