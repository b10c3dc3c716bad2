/* SPDX-License-Identifier: Apache-2.0 */
/* What new events relate to and whom they concern, read off their content before they are stored. */
#ifndef MX_ROOM_MARKS_H
#define MX_ROOM_MARKS_H

#include "room/room.h"
#include "store/mark.h"

/**
 * The marks of events that come into the timeline, in their order; events with nothing to say have none. `power` gives the levels of the
 * room (NULL: nobody may notify all). Never fails: what is not as the specification has it is no mark.
 */
void mx_room_marks_read(mx_store_mark_t **pmarks, int *pn, const mx_event_t *const *events, int nevents, const mx_power_t *power,
                        apr_pool_t *pool);

#endif
