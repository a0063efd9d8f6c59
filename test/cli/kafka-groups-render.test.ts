// The columns of Kafka's tool, for groups as the server describes them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderListing, renderMembers, renderOffsets, renderState } from '../../src/cli/kafka-groups-render.ts'
import type { GroupDescription } from '../../src/client/api.ts'

const NONE = { committed_at: null, metadata: '', start_offset: 0, member_id: null }

const group: GroupDescription = {
  group: 'billing',
  state: 'Stable',
  protocol_type: 'consumer',
  protocol: 'range',
  generation: 7,
  members: [
    {
      member_id: 'one-1',
      client_id: 'one',
      host: '10.0.0.1',
      topics: ['t'],
      partitions: [{ topic: 't', partition: 2 }],
    },
    {
      member_id: 'a-member-with-a-long-name',
      client_id: 'two',
      host: '10.0.0.2',
      topics: ['t'],
      partitions: [
        { topic: 't', partition: 0 },
        { topic: 't', partition: 1 },
      ],
    },
  ],
  offsets: [
    {
      ...NONE,
      topic: 't',
      partition: 0,
      committed_offset: 3,
      end_offset: 5,
      lag: 2,
      member_id: 'a-member-with-a-long-name',
    },
    {
      ...NONE,
      topic: 't',
      partition: 1,
      committed_offset: null,
      end_offset: 5,
      lag: null,
      member_id: 'a-member-with-a-long-name',
    },
    { ...NONE, topic: 't', partition: 2, committed_offset: 5, end_offset: 5, lag: 0, member_id: 'one-1' },
    { ...NONE, topic: 'was', partition: 0, committed_offset: 1, end_offset: 1, lag: 0 },
  ],
}

test('offsets: who owns most first, what nobody owns last', () => {
  assert.equal(
    renderOffsets(group, false),
    `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID               HOST            CLIENT-ID
billing         t               0          3               5               2               a-member-with-a-long-name /10.0.0.2       two
billing         t               1          -               5               -               a-member-with-a-long-name /10.0.0.2       two
billing         t               2          5               5               0               one-1                     /10.0.0.1       one
billing         was             0          1               1               0               -                         -               -
`,
  )
  assert.match(renderOffsets(group, true), /PARTITION {2}LEADER-EPOCH {4}CURRENT-OFFSET /)
})

test('members, with what they own when asked for more', () => {
  const rows = renderMembers(group, true).split('\n')
  assert.equal(
    rows[1],
    'GROUP           CONSUMER-ID               HOST            CLIENT-ID       #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT   ',
  )
  assert.match(rows[3] ?? '', /two +2 +- +t:0,1 +- +- +$/)
  const named = { ...group, members: group.members.map((member, at) => ({ ...member, group_instance_id: `i${at}` })) }
  assert.match(renderMembers(named, false), /CONSUMER-ID +GROUP-INSTANCE-ID HOST/)
})

test('state and listing', () => {
  assert.equal(
    renderState(group, { id: 1, host: '127.0.0.1', port: 8082 }, false),
    `
GROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS
billing         127.0.0.1:8082  (1)       range                Stable               2
`,
  )
  assert.match(renderState(group, undefined, true), /GROUP-EPOCH +TARGET-ASSIGNMENT-EPOCH +#MEMBERS\n.* 7 +7 +2\n/)
  assert.equal(
    renderListing([{ group: 'billing', type: 'Classic', state: 'Stable' }], { type: false, state: true }),
    `GROUP                     STATE               \nbilling                   Stable              \n`,
  )
})
