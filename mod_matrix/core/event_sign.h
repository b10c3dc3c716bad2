/* SPDX-License-Identifier: Apache-2.0 */
/* Whose signatures a PDU needs, and checking one. SS-API: validating hashes and signatures on received events. Pure. */
#ifndef MX_CORE_EVENT_SIGN_H
#define MX_CORE_EVENT_SIGN_H

#include "core/event.h"

#define MX_EVENT_SIGNERS_MAX 3   /* of the sender, of the event id, of the user who authorised a join */

/**
 * Writes the servers that must each have signed the event and returns their number, no server twice. An invite made from a
 * third-party invite does not need its sender's server, so 0 can be right. Versions 1 and 2 add the server of the event id, 8 and
 * on that of join_authorised_via_users_server, whatever the membership (Rooms v8, rule 4.2). The names live as long as the event.
 * Ask before a hash mismatch turned the event into its redacted form: version 8 loses that key. Parses the content (mx_event_content()).
 */
int mx_event_signers(const char *servers[MX_EVENT_SIGNERS_MAX], const mx_event_t *event);

/**
 * The ids ("ed25519:…") of the keys with which `server` says to have signed, in `pool`; returns their number. Other algorithms
 * are left out. As many as fit into a PDU: fetch and check the known ones, "unknown keys are ignored".
 */
int mx_event_signature_keys(const char ***pkey_ids, const mx_event_t *event, const char *server, apr_pool_t *pool);

/**
 * 1 if the event carries a good signature of the server's key over its redacted form; full and redacted copies pass alike.
 * Whether the key was valid at origin_server_ts (versions 5 and on) is the caller's to know. Any thread; scratch is event->pool's.
 */
int mx_event_verify(const mx_event_t *event, const char *server, const char *key_id,
                    const unsigned char public_key[MX_ED25519_PUBLIC_BYTES]);

#endif
