import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'
import { runCli, runCliOk } from './cli-process.ts'

const words = (line: string) => line.split(' ')

test('settings of a topic are changed and shown by the lines of kafka-configs', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(words('kafka-topics --create --topic events --bootstrap-server localhost:9092'), { url })
  const altered = await runCliOk(
    words(
      'bin/kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name events --add-config retention.ms=60000,cleanup.policy=[compact,delete]',
    ),
    { url },
  )
  assert.equal(altered.stdout, 'Completed updating config for topic events.\n')
  const described = await runCliOk(words('kafka-configs --describe --topic events --bootstrap-server localhost:9092'), {
    url,
  })
  assert.deepEqual(described.stdout.split('\n').sort(), [
    '',
    '  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete}',
    '  retention.ms=60000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=60000}',
    'Dynamic configs for topic events are:',
  ])
  await runCliOk(words('kafka-configs --alter --topic events --delete-config retention.ms,cleanup.policy'), { url })
  const bare = await runCliOk(words('kafka-configs --describe --entity-type topics --entity-name events'), { url })
  assert.equal(bare.stdout, 'Dynamic configs for topic events are:\n')
  const all = await runCliOk(words('kafka-configs --describe --all --topic events'), { url })
  assert.match(all.stdout, /^ {2}retention\.ms=604800000 sensitive=false /m)
})

test('what kafka-configs cannot do is refused with what it can', async (t) => {
  const { url } = await startServer(t)
  await runCliOk(words('kafka-topics --create --topic events'), { url })
  const refused = async (line: string) => {
    const { code, stderr } = await runCli(words(`kafka-configs ${line}`), { url })
    assert.equal(code, 1, line)
    return stderr
  }
  assert.match(await refused('--topic events'), /exactly one action/)
  assert.match(await refused('--describe --entity-type brokers --entity-name 1'), /tailrace serve/)
  assert.match(await refused('--alter --topic events'), /--add-config/)
  assert.match(await refused('--alter --topic events --add-config retention.ms'), /name=value/)
  assert.match(await refused('--alter --topic events --add-config retention.mss=1'), /retention\.ms/)
  assert.match(await refused('--describe --topic other'), /other/)
})
