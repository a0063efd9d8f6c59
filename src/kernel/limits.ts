// Every upper bound of the system, each with its reason. At a limit the answer is an honest 4xx, 429 or 503, never
// growing memory. What an operator may change is a broker option (schemas/config.json); these are not.

/** Offsets, timestamps and positions are JavaScript numbers: beyond 2^53 - 1 they would lose their last digits. */
export const OFFSET_MAX = Number.MAX_SAFE_INTEGER

/** Kafka's rule for topic names: they become directory names of `<topic>-<partition>`. */
export const TOPIC_NAME_CHARS_MAX = 249

/** The name of a consumer group: as long as a topic's. */
export const GROUP_ID_CHARS_MAX = 249

/**
 * A regular expression for topics: its text, with its counts written out too, and the steps that it stands for. Measured,
 * the worst one takes 2 ms to compile and 3 ms for its first match, in which its automaton is made; with 500 steps the
 * automaton outgrows its room, and each match takes 20 ms. And how long matching keeps others waiting.
 */
export const PATTERN_CHARS_MAX = 1_000
export const PATTERN_PROGRAM_MAX = 300
export const PATTERN_MATCHING_MS_PER_TURN_MAX = 5

/** Patterns that members share as long as they are asked for again, with what they match: some KB each. */
export const PATTERNS_KEPT_MAX = 1_000

/**
 * Shares that the sticky assignor works out again to balance members with different subscriptions: in the worst case some
 * 50 ms, in which everybody else waits. A thousand members that want ten sorts of topics come to rest after a tenth.
 */
export const ASSIGNOR_STEPS_MAX = 500_000

/** A group's member whose join fails tries again after a time that doubles; a full disk may last. */
export const JOIN_RETRY_MS_MIN = 100
export const JOIN_RETRY_MS_MAX = 10_000

/** One topic; a start must stay fast and a listing must fit in memory. */
export const TOPIC_PARTITIONS_MAX = 10_000

/** All topics together, for the same reasons. */
export const PARTITIONS_MAX = 100_000

/** A body that is parsed whole (topics, configs): JSON.parse and the check by schema hold up everyone while they run. */
export const JSON_BODY_BYTES_MAX = 64 * 1024

/**
 * Bytes of request bodies that are not all there yet, over all connections; one larger body alone is still taken. What
 * came in one piece is not counted: small requests pass while large ones wait.
 */
export const BODIES_GATHERED_BYTES_MAX = 256 * 1024 * 1024

/** Objects nested deeper than any body of ours: refused before the parser's own recursion is asked. */
export const JSON_BODY_DEPTH_MAX = 100

/** Node's default, named: topic names and cursors of the longest kind fit in a request line. */
export const REQUEST_HEAD_BYTES_MAX = 16 * 1024

/** From the first byte of a request's head to its last: who sends slower holds a connection for nothing. */
export const REQUEST_HEAD_MS_MAX = 15_000

/** A connection without a byte either way; longer than the longest wait of a read. */
export const CONNECTION_SILENCE_MS_MAX = 120_000

/** Topics in one page of a listing: a reply is made in one go. */
export const TOPIC_LIST_MAX = 10_000
export const TOPIC_LIST_DEFAULT = 1_000

/** Groups in one page of a listing. */
export const GROUP_LIST_MAX = 10_000
export const GROUP_LIST_DEFAULT = 1_000

/** Partitions whose offsets one request puts elsewhere, in one commit. */
export const GROUP_OFFSETS_RESET_MAX = 10_000

/** Series of a metric at /metrics: beyond them a scrape would cost more than it tells. What is left out is counted. */
export const METRICS_PARTITIONS_MAX = 2_000

/** An import's lines go on in chunks of this size, and so many of them at once: its memory, whatever its length. */
export const IMPORT_CHUNK_RECORDS_MAX = 5_000
export const IMPORT_CHUNK_BYTES_MAX = 1024 * 1024
export const IMPORT_CHUNKS_UNDER_WAY_MAX = 2

/** A line is a record with its base64 and member names: larger than any record that the default limits let in. */
export const IMPORT_LINE_BYTES_MAX = 32 * 1024 * 1024

/** Rejected lines that an import's report names; beyond them it counts. */
export const IMPORT_ERRORS_SHOWN_MAX = 100

/** Partitions that an import's warning names with their number of records; of the others it says how many there are. */
export const IMPORT_PARTITIONS_WARNED_MAX = 20

/** One produce request: the reply carries a result for each record. */
export const PRODUCE_RECORDS_MAX = 100_000

/** What may wait in one partition's produce gate before new requests get 503. */
export const GATE_WAITING_BYTES_MAX = 64 * 1024 * 1024

/** What may wait in all produce gates and log queues together before new requests get 503. */
export const PRODUCE_WAITING_BYTES_MAX = 256 * 1024 * 1024

/** Headers of one record: a count in the batch is a varint, an honest record has a handful. */
export const RECORD_HEADERS_MAX = 1_000

/** Headers of its request that a hook asks to be kept beside the usual ones. */
export const HOOK_KEPT_HEADERS_MAX = 32

/** What one compressed batch may inflate to: a few bytes must not become gigabytes. */
export const BATCH_INFLATED_BYTES_MAX = 256 * 1024 * 1024

/**
 * Records that are compressed on the event loop: measured, so few take it less than the way to a thread and back (40 µs
 * against 45 for gzip, and with the faster codecs half).
 */
export const COMPRESSED_ON_LOOP_BYTES_MAX = 4 * 1024

/** Batches that are compressed at once: half of the thread pool, for the other half writes and syncs. */
export const COMPRESSIONS_AT_ONCE_MAX = 4

/**
 * What a batch may inflate to on the event loop: a gathered one, which takes 0.5 ms (zstd, snappy, lz4) to 1.5 ms (gzip),
 * less than the page that is made of it. What inflates to more, up to 50 ms for 16 MiB, goes to a thread.
 */
export const INFLATED_ON_LOOP_BYTES_MAX = 1024 * 1024

/**
 * What all pages together hold of batches that were inflated in threads, and all exports: two of the largest, and as much
 * again for a moment, while what came out is put together. Who finds no room waits for so long, and gets 503 then.
 */
export const INFLATED_BYTES_HELD_MAX = 2 * BATCH_INFLATED_BYTES_MAX
export const INFLATION_WAIT_MS_MAX = 10_000
export const INFLATIONS_WAITING_MAX = 1_000

/** One read: records in a page, bytes of batches read for it, ms it may wait. */
export const PAGE_RECORDS_MAX = 10_000
export const PAGE_RECORDS_DEFAULT = 500
export const PAGE_BYTES_MAX = 64 * 1024 * 1024
export const PAGE_BYTES_DEFAULT = 1024 * 1024
export const PAGE_WAIT_MS_MAX = 60_000

/**
 * What a page's records become as JSON, with what could not be shown and was taken back: the page ends with the record that goes
 * beyond. A hundred bytes may name what is megabytes in their schema.
 */
export const PAGE_WRITTEN_BYTES_MAX = 64 * 1024 * 1024

/** Records that one filtered page may look at before it answers with what it has and a cursor to go on from. */
export const PAGE_SCAN_RECORDS_MAX = 100_000

/**
 * What evaluating expressions may cost, in steps of some 20 ns: for one record, the JSON of its value apart (4 bytes of it
 * are a step; 2, of Protobuf 1, where a schema decodes it); before others have their turn; and for one page, which then answers as above.
 */
export const EXPRESSION_STEPS_MAX = 200_000
export const PAGE_SCAN_STEPS_PER_TURN_MAX = 250_000
export const PAGE_SCAN_STEPS_MAX = 4_000_000

/** An expression: its text, and what that stands for. */
export const EXPRESSION_CHARS_MAX = 4_096
export const EXPRESSION_NODES_MAX = 512
export const EXPRESSION_DEPTH_MAX = 32

/** Expressions that are kept compiled, for others that have the same one: up to some hundred kilobytes each, mostly ten. */
export const EXPRESSIONS_KEPT_MAX = 128

/** Regular expressions of one expression: each takes up to 5 ms until it has matched once. */
export const EXPRESSION_PATTERNS_MAX = 4

/** What one of them keeps of its automaton: some 200 states, where usual ones have 50. */
export const EXPRESSION_PATTERN_BYTES_MAX = 64 * 1024

/**
 * A key, a value or a header that is larger is not looked into: to parse so much takes 1 ms, and 20 ms where it is the worst
 * JSON there is (a hundred thousand objects, no two with the same member). And a text that is put together.
 */
export const EXPRESSION_VALUE_BYTES_MAX = 256 * 1024
export const EXPRESSION_TEXT_CHARS_MAX = 256 * 1024

/**
 * Room for the JSON that a framed key or value is decoded to for an expression: few bytes may become many, and three times what
 * a text takes is reserved for it. What has more than EXPRESSION_VALUE_BYTES_MAX in the end is not looked into, either.
 */
export const EXPRESSION_DECODED_BYTES_MAX = 4 * EXPRESSION_VALUE_BYTES_MAX

/** Topics whose size of a record is remembered, so that a page reads no more bytes from disk than it needs. */
export const READ_ESTIMATES_MAX = 1_000

/** Buffers of page replies that are kept to be used again, and how large one may be to be kept. */
export const REPLY_BUFFERS_KEPT_MAX = 16
export const REPLY_BUFFER_BYTES_KEPT_MAX = 1024 * 1024

/** Requests of one connection that are worked on at once, where a client sends more without waiting for replies. */
export const CONNECTION_REQUESTS_MAX = 16
/** Those that wait for their turn, over all connections: some kilobytes each. A connection that brings more is ended. */
export const REQUESTS_WAITING_MAX = 20_000

/** Replies that clients have not taken yet, over all connections; one larger reply alone is still given. */
export const REPLIES_HELD_BYTES_MAX = 256 * 1024 * 1024

/** What a client takes in ahead of its reader: more than lies in the buffers of a connection, so that the end is among it. */
export const CLIENT_READ_AHEAD_BYTES_MAX = 8 * 1024 * 1024

/** What a client's tail has received and its reader not yet taken: some of the server's chunks, so that they come whole. */
export const CLIENT_TAIL_RECORDS_MAX = 10_000
export const CLIENT_TAIL_BYTES_MAX = 4 * 1024 * 1024

/** From opening a WebSocket to the server's first word: a client that hears nothing for so long tries another one. */
export const CLIENT_HELLO_MS_MAX = 10_000

/** Between a client's tries to come back to its server: soon at first, and not all clients at once when that is gone for long. */
export const CLIENT_RETRY_MS_MIN = 250
export const CLIENT_RETRY_MS_MAX = 30_000

/** Records that the command line gathers to show them in the order of their times: beyond it they are shown as far as they have come. */
export const CLI_BACKLOG_BYTES_MAX = 16 * 1024 * 1024

/** Bytes of batches that an export or a walk over a log's end fetches at a time: its memory, whatever the topic's size. */
export const EXPORT_FETCH_BYTES = 1024 * 1024

/** The position `-N`: each of the N records is looked at before the first is given. */
export const POSITION_LAST_RECORDS_MAX = 10_000

/** Long polls that wait at once; each holds a socket and a few hundred bytes. */
export const WAITING_FETCHES_MAX = 50_000

/** Partitions that all of them together wait for, each counted once a poll: a hundred bytes each. */
export const WAITING_PARTITIONS_MAX = 500_000

/**
 * Of the reads that an append wakes, those that go on in one turn of the event loop, and the partitions that these are for:
 * each costs some 50 µs, and some 2 µs a partition, and everybody else waits meanwhile.
 */
export const FETCHES_WOKEN_PER_TURN_MAX = 100
export const PARTITIONS_WOKEN_PER_TURN_MAX = 2_000

/** A cursor is a query parameter and an SSE id: it must fit in a request line. */
export const CURSOR_BYTES_MAX = 4_096

/** Places of a partition that its last reads remember: a megabyte of batches, in as many stretches as there are readers. */
export const READ_LANDMARKS_MAX = 256

/** Partitions whose readers share what they found to be JSON, and the ranges of offsets that are kept of each. */
export const KNOWN_JSON_PARTITIONS_MAX = 10_000
export const KNOWN_JSON_RANGES_MAX = 64

/** Segment files that stay open while nobody uses them, over all partitions; and that are open at all, in a burst. */
export const OPEN_SEGMENT_FILES_MAX = 512
export const OPEN_SEGMENT_FILES_IN_USE_MAX = 4_096

/** Who may wait for a file of others to be closed, and how long: a reply is due before a client gives up. */
export const OPEN_FILE_WAITERS_MAX = 20_000
export const OPEN_FILE_WAIT_MS_MAX = 5_000

/** Reads, writes and syncs of folders and small files at once: each has a descriptor, and Node four threads for them. */
export const FOLDER_CALLS_AT_ONCE_MAX = 16

/** Of the process's descriptors those that are neither segment files nor connections: databases, threads, folders. */
export const OWN_DESCRIPTORS = 96

/**
 * Kept free on the data directory's disk for deleting when it is full: a commit takes some pages of meta.db's write-ahead
 * log, opening ten thousand partitions after a crash some hundred of index.db's. And how often it is tried to take it again.
 */
export const DISK_RESERVE_BYTES = 2 * 1024 * 1024
export const DISK_RESERVE_RETRY_MS = 30_000

/** How far behind a bad batch a reader looks for the next good one to name: larger than what one write can have torn. */
export const CORRUPT_SEARCH_BYTES_MAX = 128 * 1024 * 1024

/** Bad batches of one partition that each get a line in the log: beyond them the disk is what is bad. */
export const BAD_BATCHES_TOLD_MAX = 16

/** Index entries held back in memory before they are written to index.db in one transaction. */
export const INDEX_PENDING_ENTRIES_MAX = 20_000

/** Segment files that wait for file.delete.delay.ms, over all partitions: beyond it the oldest goes at once. */
export const DELETED_FILES_WAITING_MAX = 10_000

/** How long a stop removes those that wait, of the seconds that a container runtime gives: the next start removes the rest. */
export const DELETED_FILES_CLOSE_MS_MAX = 2_000

/** Rows of index.db that go in or out in one go when a segment is replaced, or a topic deleted: some milliseconds, then others have their turn. */
export const INDEX_ROWS_PER_TURN_MAX = 1_000

/**
 * Index entries of one cleaned segment, which go from thread to thread: beyond them they get sparser. Kafka's default
 * interval needs 524,288 for the largest segment.
 */
export const CLEANED_INDEX_ENTRIES_MAX = 600_000

/** Requests of one named producer to one topic that may wait for their predecessor. */
export const PRODUCER_WAITING_REQUESTS_MAX = 100

/** Batches of a producer that are remembered for its retries (Kafka's number). */
export const PRODUCER_BATCHES_REMEMBERED = 5

/** Names of producers that are remembered at once, a few hundred bytes each: beyond them new ones get 503. */
export const PRODUCER_NAMES_MAX = 100_000

/** Names, or a partition's producers, that are forgotten in one commit: others wait for the writer meanwhile. */
export const PRODUCERS_FORGOTTEN_AT_ONCE_MAX = 1_000

/** A producer's name. */
export const PRODUCER_NAME_CHARS_MAX = 249

/** One RecordBatch: its length field is an int32. */
export const BATCH_BYTES_MAX = 2 ** 31 - 1

/** Brackets open at once in a JSON text: what is stored must be readable by common parsers (PHP's stops at 512). */
export const JSON_DEPTH_MAX = 500

/** Of a number with which is calculated exactly: a short text may stand for billions of digits. */
export const DECIMAL_DIGITS_MAX = 1_000

/** What waiting requests are gathered into: whoever wants one record reads its whole batch. */
export const GATHERED_BATCH_BYTES_MAX = 1024 * 1024

/** Named producers whose place in a topic is kept in memory; any other is read back from the engine when it returns. */
export const PRODUCERS_CACHED_MAX = 10_000

/** One write and one fdatasync of several appends to a partition: bounds its latency; a single larger append is still taken. */
export const STRETCH_BYTES_MAX = 32 * 1024 * 1024

/** Each of the commit journal's two files: a busy server fills one in seconds, in which the segment files of the other are synced once. */
export const JOURNAL_FILE_BYTES = 16 * 1024 * 1024

/** Rounds of several partitions before the journal is made: who writes little does not pay 32 MiB for it. */
export const JOURNAL_ROUNDS_BEFORE_MADE = 50

/** The journal is made where the disk has room for so many of its files: it takes a quarter of that. */
export const JOURNAL_FREE_FILES_MIN = 8

/** Before the journal is tried again after it found no room: seconds, in which nobody asks the disk. */
export const JOURNAL_ROUNDS_BEFORE_NEXT_TRY = 10_000

/** Segment files that are synced at once when the journal changes its file: the rounds' own syncs find a thread. */
export const JOURNAL_SYNCS_AT_ONCE = 2

/** Segment files with bytes that one of the journal's files alone holds durably: they stay open until they are synced. */
export const JOURNAL_HELD_FILES_MAX = 200

/** A larger stretch is written in a thread, and the others of its round do not wait for it. */
export const JOURNAL_STRETCH_BYTES_MAX = 64 * 1024

/**
 * What one saved sync may cost in bytes that are written twice: a sync takes some 50 us of CPU, the checksum and the copy of
 * so many bytes about as much.
 */
export const JOURNAL_BYTES_PER_SAVED_SYNC = 32 * 1024

/** What may wait to be written to one partition before new appends get 503; a single larger append is still taken. */
export const APPEND_QUEUE_BYTES_MAX = 64 * 1024 * 1024

/** Partitions that are opened at once after a crash: each scans a file in chunks. */
export const OPENING_PARTITIONS_MAX = 16

/** Changes of meta.db (topics, configs, producers' names) that may wait for their commit. */
export const META_WAITING_COMMITS_MAX = 10_000

/**
 * What services remember of consumers (service/state-topic): all of it is in memory and read when it is first asked for.
 * Of each kind, so that none takes another's room: a hundred thousand consumer instances, or ten thousand partitions with a
 * full window of leased records.
 */
export const STATE_BYTES_MAX = 64 * 1024 * 1024
export const STATE_VALUE_BYTES_MAX = 256 * 1024

/** Consumer groups that are known at once, a kilobyte or two each: beyond them joins and commits of new ones get 503. */
export const GROUPS_MAX = 100_000

/** Members of one group, whatever group.max.size says: the leader's list of them is one reply. Of all groups: two kilobytes each, with a group of its own. */
export const GROUP_MEMBERS_MAX = 10_000
export const MEMBERS_MAX = 100_000

/** Times that a forced reset or deletion makes members leave: they may be back before it has come to whoever keeps the group. */
export const GROUP_EVICTIONS_MAX = 10

/** Joins of a member that lives in the server that are tried again at once after it was fenced; then it waits as after any other failure. */
export const JOINS_FENCED_IN_A_ROW_MAX = 3

/** Free records of a work queue that lie far apart are fetched one by one: a poll gives what so many fetches bring. */
export const SHARED_POLL_FETCHES_MAX = 32

/** Assignors that one member offers, and characters of their names, protocol types, instance and client ids. */
export const GROUP_PROTOCOLS_MAX = 16
export const GROUP_NAME_CHARS_MAX = 249

/** What one member says of itself, or is assigned: every topic's and partition's name, with room to spare. Of all members. */
export const MEMBER_METADATA_BYTES_MAX = 4 * 1024 * 1024
export const MEMBERS_BYTES_MAX = 256 * 1024 * 1024

/** Committed offsets that are remembered, over all groups: they are in memory, some hundred bytes each. */
export const COMMITTED_OFFSETS_MAX = 1_000_000

/** One commit: every partition that there may be. And offsets that wait to be durable: a second's worth of a fast disk. */
export const OFFSETS_A_COMMIT_MAX = 100_000
export const OFFSETS_WAITING_MAX = 200_000

/** Groups that are looked at in one turn for what has expired, and stored in one commit: others wait meanwhile. */
export const GROUPS_EXPIRED_AT_ONCE_MAX = 100

/**
 * Consumers that the server keeps for clients of the REST Proxy v2 API, in all and of one group: five kilobytes each at
 * most, and a rebalance asks every one of its group.
 */
export const CONSUMER_INSTANCES_MAX = 20_000
export const CONSUMER_INSTANCES_PER_GROUP_MAX = 1_000
export const CONSUMER_INSTANCE_NAME_CHARS_MAX = 249

/** Reads of one consumer that may wait for their turn: a client has one, and another when it gave that up. */
export const CONSUMER_READS_WAITING_MAX = 4

/** What a consumer's client may list in one request: topics, partitions, offsets; and the request that has them. */
export const CONSUMER_TOPICS_MAX = 1_000
export const CONSUMER_PARTITIONS_MAX = 10_000
export const CONSUMER_BODY_BYTES_MAX = 1024 * 1024

/** A consumer's page where its client asks for no size: a hundred thousand small records would be one run of work for all. */
export const CONSUMER_READ_BYTES_DEFAULT = 4 * 1024 * 1024

/** Members that live in the server join again within milliseconds; so long a rebalance waits for one that cannot. */
export const CONSUMER_REBALANCE_MS_MAX = 60_000

/** Polls of one group that wait at once: each holds a socket and some hundred bytes. */
export const GROUP_POLLS_WAITING_MAX = 10_000

/** Leases of one group that are open at once. */
export const LEASES_OPEN_MAX = 10_000

/** How long a lease lasts: a shorter one is over before its reply is read, a longer one keeps records from others for a working day. */
export const LEASE_MS_MIN = 1_000
export const LEASE_MS_MAX = 12 * 3_600_000
export const LEASE_MS_DEFAULT = 30_000

/**
 * Acks of a group that are remembered, so that one whose reply was lost may be sent again; and partitions that their
 * answers name, all together, some 60 bytes each.
 */
export const LEASES_REMEMBERED_MAX = 1_000
export const LEASES_REMEMBERED_PARTITIONS_MAX = 100_000

/** A lease's acks name records one by one, SHARED_POLL_RECORDS_MAX of them with 330 bytes for the longest name. Parsed in some milliseconds. */
export const LEASE_ACK_BYTES_MAX = 1024 * 1024

/** A worker's name for itself. */
export const LEASE_MEMBER_CHARS_MAX = 249

/** Topics that one poll names. */
export const POLL_TOPICS_MAX = 1_000

/** The member of a group that polls for its workers leaves when none of them has polled or held a lease for so long. */
export const POLL_IDLE_MS_MAX = 30_000

/**
 * Partitions of lease polls that are to go to other members stay until their leases have ended, so long at most: then the
 * member still has time to join before the rebalance goes on without it (CONSUMER_REBALANCE_MS_MAX).
 */
export const POLL_GIVE_UP_MS_MAX = 50_000

/** Lists of topics, or patterns, that polls of one group name at once: the group's member subscribes to all of them. */
export const POLL_SUBSCRIPTIONS_MAX = 100

/** Groups that are polled, or were a moment ago: a few kilobytes each, some hundred bytes for each of its partitions. */
export const POLLED_GROUPS_MAX = 10_000

/** How long a poll waits for its group's rebalance at least, whatever it wants to wait for records. */
export const POLL_SETTLE_MS_MIN = 5_000

/** A partition that could not be read is not asked again for so long. */
export const PARTITION_FAULT_PAUSE_MS = 1_000

/**
 * Records of one partition that are between a shared group's committed offset and what it has read (Kafka's
 * group.share.partition.max.record.locks): each is remembered by itself. And of one poll: its acks must fit a body.
 */
export const SHARED_WINDOW_RECORDS_MAX = 2_000
export const SHARED_POLL_RECORDS_MAX = 2_000

/** Deliveries of a shared group's record before it goes to the dead-letter topic (Kafka's group.share.delivery.count.limit), and the most that may be asked for. */
export const MAX_ATTEMPTS_DEFAULT = 5
export const MAX_ATTEMPTS_MAX = 1_000

/**
 * Records that go to a dead-letter topic together, of one partition, which has one such group under way, and after so many
 * bytes what was copied of it is appended. And how soon a failed one is tried again: twice as late each time, up to a most.
 */
export const DEAD_LETTERS_AT_ONCE_MAX = 100
export const DEAD_LETTERS_BYTES_MAX = 4 * 1024 * 1024
export const DEAD_LETTER_RETRY_MS = 1_000
export const DEAD_LETTER_RETRY_MS_MAX = 30_000

/** How long what is remembered of a shared group's partition stays when there is nothing in it any more. */
export const SHARED_STATE_IDLE_MS = 10_000

/** How long a member that leaves waits until it is durable that what its workers have was not tried. A disk that takes longer is not waited for. */
export const SHARED_HAND_BACK_MS_MAX = 5_000

/** How often, at most, what is remembered of groups and topics that are gone is looked for. */
export const SHARED_STATE_CHECK_MS = 600_000

/** Event streams and WebSockets that are open at once. And how often all of them are looked at. */
export const LIVE_CONNECTIONS_MAX = 50_000
export const LIVE_SWEEP_MS = 1_000

/** Connections that are worth a step of the sweep, and the most steps that it is cut into: each is a timer. */
export const LIVE_SWEEP_STEP = 64
export const LIVE_SWEEP_STEPS_MAX = 20

/** Bytes that wait for their sockets, over all live connections: beyond it one that has some waiting is given no more. */
export const LIVE_PENDING_BYTES_MAX = 256 * 1024 * 1024

/** Bytes that wait for one live connection's socket: beyond it, it is given no more. A record that is larger goes alone. */
export const LIVE_CONNECTION_PENDING_BYTES_MAX = 4 * 1024 * 1024

/** A live connection that has bytes waiting and takes none of them for so long is closed. */
export const LIVE_STALL_MS_MAX = 10_000

/** Bytes that are handed to a live connection's socket at once: small enough to see that a slow client takes some. */
export const LIVE_PIECE_BYTES = 64 * 1024

/** Between two signs of life on a live connection, unless it asks for another pace. */
export const LIVE_HEARTBEAT_MS_DEFAULT = 5_000
export const LIVE_HEARTBEAT_MS_MIN = 1_000
export const LIVE_HEARTBEAT_MS_MAX = 60_000

/** Tails that are open at once: some hundred bytes each, and their places. */
export const TAILS_OPEN_MAX = 100_000

/** Chunks that tails share, kept for those that are a little behind: bytes over all of them. */
export const TAIL_CHUNKS_BYTES_MAX = 64 * 1024 * 1024

/** How long after a tail has begun somewhere another one shares its way: a crowd that comes at once. For one that comes later nothing is kept. */
export const TAIL_START_SHARED_MS = 2_000

/** One chunk: records, and encoded bytes: the loop is held up while it is made. A record that is larger is one by itself. */
export const TAIL_CHUNK_RECORDS_MAX = 10_000
export const TAIL_CHUNK_BYTES_MAX = 256 * 1024

/** Between two reads for tails that are far behind, at most; and for how long after an append there is a rest between them. */
export const CATCH_UP_REST_MS_MAX = 20
export const CATCH_UP_QUIET_MS = 100

/** How long what was appended may be asked to wait for more. */
export const TAIL_BATCH_WAIT_MS_MAX = 10_000

/** Reads for tails that run at once: each holds what it fetched, a mebibyte or a record that is larger. Others wait in line. */
export const TAIL_READS_MAX = 16

/** Records that one read looks at for a filter: the loop is held up for so long. And after how many a tail that finds nothing says so. */
export const TAIL_SCAN_RECORDS_MAX = 20_000
export const TAIL_SCAN_TOLD_RECORDS = 100_000

/** How long tails take turns before all others have theirs. */
export const TAIL_TURN_MS_MAX = 5

/** Offsets that a tail with overflow drop_oldest or latest_per_key may be behind, when it has room again: of more, the oldest are dropped. */
export const TAIL_OVERFLOW_RECORDS_MAX = 10_000

/** Stored bytes of records that latest_per_key looks at in one go, to find each key's last. */
export const TAIL_LATEST_BYTES_MAX = 4 * 1024 * 1024

/** Topics that one tail names. */
export const TAIL_TOPICS_MAX = 100

/** A frame that a WebSocket sends us: beyond it the socket is closed (1009). Produce over HTTP takes larger bodies. */
export const WS_FRAME_BYTES_MAX = 1024 * 1024

/** Parts of frames that have come and lack their end, over all WebSockets: beyond it those that hold more than a little are closed. */
export const WS_UNFINISHED_BYTES_MAX = 64 * 1024 * 1024

/** Whole frames of the chunk that was given last which are kept for other sockets: most have the same name and generation. */
export const WS_FRAME_HEADS_MAX = 8

/** Subscriptions of one socket. */
export const WS_SUBSCRIPTIONS_MAX = 64

/** Names that clients give: of subscriptions, of commands. */
export const WS_NAME_CHARS_MAX = 64

/** Credit of a subscription that names none, and the most that may be outstanding: more is no bound at all. */
export const WS_CREDIT_RECORDS_DEFAULT = 256
export const WS_CREDIT_BYTES_DEFAULT = 1024 * 1024
export const WS_CREDIT_RECORDS_MAX = 1_000_000
export const WS_CREDIT_BYTES_MAX = 256 * 1024 * 1024

/** Commands of one socket that are not answered yet: beyond it nothing more is read from the socket. Those that produce have a bound of their own, beyond which they are refused. */
export const WS_COMMANDS_IN_FLIGHT_MAX = 128
export const WS_PRODUCES_IN_FLIGHT_MAX = 64

/** What a record takes beside its bytes while a socket produces it: its place in memory, then in the answer. Small ones are mostly that. */
export const WS_PRODUCED_RECORD_BYTES = 100

/** Frames that are done in one turn of the event loop, over all sockets, and for how long: then everybody else has a turn. */
export const WS_FRAMES_PER_TURN_MAX = 64
export const WS_TURN_MS_MAX = 5

/** Frames of one socket that were not understood: one more closes it. */
export const WS_FAULTS_MAX = 10

/** Commands of one socket that were understood and refused for good, none that was done between them: one more closes it. */
export const WS_REFUSALS_MAX = 1_000

/** Between the notice that the server is closing and the end of its sockets: to commit what was worked on. */
export const WS_DRAIN_MS = 250

/** A socket that was told to close and is still there after so long is cut. */
export const WS_CLOSE_MS_MAX = 2_000

/** What a client may be slow by before it is taken for gone: bytes that it was sent and may still be on their way to it, for each millisecond. */
export const WS_SILENT_BYTES_PER_MS = 32

/**
 * How long one event stream lasts, give or take a tenth, before its client is told to come again: load balancers spread clients anew,
 * and connections whose client has gone unseen end. And how long a client may ask for.
 */
export const EVENT_STREAM_MS = 15 * 60_000
export const EVENT_STREAM_MS_MAX = 24 * 60 * 60_000

/** An event stream says how far it is so often at least. */
export const EVENT_PROGRESS_MS = 30_000
/** A subscription of a group is answered after so long, though a rebalance of it may still be under way. */
export const GROUP_TAIL_JOIN_MS_MAX = 1_000

/** How long a partition that was revoked is kept for a commit of it that is under way. */
export const GROUP_TAIL_COMMIT_MS_MAX = 10_000

/** How long the place of a group's member is kept when its connection is gone. */
export const GROUP_TAIL_SESSION_MS_DEFAULT = 10_000

/** How long others wait, when they are to get a partition, for what was given of it to be committed: less than a rebalance waits for its members. */
export const GROUP_TAIL_RELEASE_MS_DEFAULT = 5_000
export const GROUP_TAIL_RELEASE_MS_MAX = 30_000

/** How often what a client is done with may be committed by itself: all of them are looked at together, so often. */
export const AUTO_COMMIT_MS_MIN = 1_000
export const AUTO_COMMIT_MS_MAX = 3_600_000

/** Chunks that a client is not done with, of which their cursors are kept, some hundred bytes each: beyond, of every second one. */
export const GROUP_TAIL_CHUNKS_UNDONE_MAX = 2_000

/** One wait of a work queue's subscription for records: it polls again by itself. */
export const QUEUE_TAIL_WAIT_MS = 60_000

/** Records that one subscription of a work queue was given and has said nothing of yet, some hundred bytes each: it is given no more. */
export const QUEUE_TAIL_RECORDS_OPEN_MAX = 10_000
/** A schema: its text, and with all that it refers to; how many that are, and how deep they refer to each other. */
export const SCHEMA_TEXT_CHARS_MAX = 1024 * 1024
export const SCHEMA_RESOLVED_CHARS_MAX = 8 * 1024 * 1024
export const SCHEMA_REFERENCES_MAX = 256
export const SCHEMA_REFERENCE_DEPTH_MAX = 32

/** Levels of nesting in a schema's JSON. */
export const SCHEMA_DEPTH_MAX = 200

/** Avro: fields, symbols and branches in one schema. JSON Schema: nodes in one, properties of one object, characters of a pattern. */
export const AVRO_PARTS_MAX = 20_000
export const JSON_SCHEMA_NODES_MAX = 20_000
export const JSON_SCHEMA_PROPERTIES_MAX = 2_000
export const JSON_SCHEMA_PATTERN_CHARS_MAX = 1_000

/**
 * What the schemas of a request may take to be read, to be compared with all that they must agree with, or to be made ready for
 * values, and one value to be checked by them: everybody waits so long.
 */
export const SCHEMA_WORK_MS_MAX = 1_000
export const JSON_SCHEMA_CHECK_MS_MAX = 200
/** All values that are checked under a watch before others have their turn. */
export const JSON_SCHEMA_CHECKS_MS_MAX = 2_000
/** Values of so many characters, and schemas of so many parts, are checked without a watch: it costs more than they do. */
export const JSON_SCHEMA_CHEAP_CHARS = 4_096
export const JSON_SCHEMA_CHEAP_PARTS = 3_000

/** Protobuf: fields of one message, and levels of messages in messages. */
export const PROTOBUF_FIELDS_MAX = 5_000
export const PROTOBUF_DEPTH_MAX = 32

/** Pairs of parts that a check of compatibility looks at. */
export const COMPATIBILITY_STEPS_MAX = 500_000

/** Of an old schema, in the reasons why another cannot follow it: as many as Confluent's registry shows. */
export const OLD_SCHEMA_SHOWN_CHARS = 10_240

/** The name of a subject, with its context. */
export const SUBJECT_CHARS_MAX = 1_024

/** What the registry reads of its topic at once (others wait while that is applied), and when it tries again where it cannot be read. */
export const REGISTRY_FETCH_BYTES = 256 * 1024
export const REGISTRY_RETRY_MS = 1_000

/** Where several nodes share a registry: how long the one that writes may be silent before another takes over. As the peer's. */
export const REGISTRY_SESSION_MS = 10_000

/**
 * Until a write gives up: waiting for somebody to be chosen (a rebalance takes milliseconds, one that waits for a dead node
 * a session), and being sent on to the one that writes, which may have to wait for its turn.
 */
export const REGISTRY_WRITER_WAIT_MS = 5_000
export const REGISTRY_FORWARD_MS = 30_000

/** Writes that wait on the way to the node that writes, each with a body of up to REGISTRY_BODY_BYTES_MAX; and the reply that one brings back. */
export const REGISTRY_FORWARDS_MAX = 256
export const REGISTRY_FORWARDED_BYTES_MAX = 16 * 1024 * 1024

/** How often a write is planned again because another node has written in between: there is one, but for a moment. */
export const REGISTRY_WRITE_TRIES_MAX = 5

/**
 * Text of schemas that are kept parsed, with all that they refer to, the longest unused going first: parsed it takes some ten
 * times that. And what one counts for beside its text.
 */
export const SCHEMAS_PARSED_CHARS_MAX = 8 * 1024 * 1024
export const SCHEMAS_PARSED_EACH_CHARS = 1_000

/** Names of subjects that one which is not there is compared with: it takes a microsecond or two for each. */
export const SUBJECTS_COMPARED_MAX = 500

/** Schemas of one list; and its characters: a longer one ends with the schema that goes beyond. The loop is its own for so long at a time while it is made. */
export const REGISTRY_LIST_MAX = 1_000
export const REGISTRY_LIST_CHARS_MAX = 16 * 1024 * 1024
export const REGISTRY_LIST_TURN_MS_MAX = 5
/** One is made at a time: who waits longer, or behind so many, gets 503. */
export const REGISTRY_LIST_WAIT_MS_MAX = 10_000
export const REGISTRY_LISTS_WAITING_MAX = 100

/** A request to the registry: a schema's text, each of its characters an escape of six bytes, and what stands beside it. */
export const REGISTRY_BODY_BYTES_MAX = 6 * SCHEMA_TEXT_CHARS_MAX + 256 * 1024

/** A reply of the registry that is longer is counted while it waits for its reader. */
export const REGISTRY_RAW_REPLY_CHARS_MAX = 64 * 1024

/** Patterns of JSON Schemas that are kept compiled; how long one that cannot be matched in linear time is tried. */
export const PATTERNS_COMPILED_MAX = 500
export const PATTERN_MATCH_MS_MAX = 50

/** An Avro value: how deep it is nested (the stack is finite), and how many items without any bytes it may have (six bytes can promise billions). */
export const AVRO_DATA_DEPTH_MAX = 500
export const AVRO_EMPTY_ITEMS_MAX = 100_000
/**
 * What a value of few bytes may become as JSON: a schema can name the same records again and again. And from which length on
 * a name of the schema is counted where it is written, not with the record or item that it is in.
 */
export const AVRO_JSON_BYTES_MAX = 16 * 1024 * 1024
/** The same of Protobuf, with the fields of its messages, set or not: two bytes are a message, which may have thousands, one a number in a list. */
export const PROTOBUF_JSON_CHARS_MAX = 16 * 1024 * 1024
export const AVRO_LONG_NAME_BYTES = 512
/** How often parts of a value are tried on a union's branches, beside so many for each byte. */
export const AVRO_TRIALS = 1_000
export const AVRO_TRIALS_PER_BYTE = 4

/**
 * Text of schemas that values are read and written with, with all that they refer to: compiled it takes some twenty times
 * that. And what an id counts for beside it: that one means nothing is remembered, too, for bytes may hold any.
 */
export const SCHEMAS_COMPILED_CHARS_MAX = 4 * 1024 * 1024
export const SCHEMAS_COMPILED_EACH_CHARS = 100
