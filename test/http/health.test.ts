import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '../support/http.ts'

test('a server that serves is alive and ready, with its checks', async (t) => {
  const server = await startServer(t)
  assert.deepEqual((await server.get('/livez')).json(), { status: 'alive' })
  const ready = await server.get('/readyz')
  assert.equal(ready.status, 200)
  assert.equal(ready.json().status, 'ready')
  assert.deepEqual(
    ready.json().checks.map(({ name }: { name: string }) => name),
    ['serving', 'partitions', 'disk', 'schemas'],
  )
})

test('the cluster tells who serves and what it can do', async (t) => {
  const server = await startServer(t)
  const { cluster_id: clusterId, brokers, capabilities } = (await server.get('/v1/cluster')).json()
  assert.ok(clusterId.length > 0)
  assert.equal(brokers[0].port, server.port)
  assert.deepEqual(capabilities, { replication_factor_max: 1, named_producers: true })
})

test('the first scrape counts the processor’s time from the start of the process, and shows no lag that was not measured', async (t) => {
  const server = await startServer(t)
  const { user, system } = process.cpuUsage()
  for (let scrape = 0; scrape < 2; scrape++) {
    const lines = (await server.get('/metrics')).text().split('\n')
    const value = (series: string) => Number(lines.find((line) => line.startsWith(`${series} `))?.split(' ')[1])
    assert.ok(value('process_cpu_user_seconds_total') >= user / 1e6)
    assert.ok(value('process_cpu_system_seconds_total') >= system / 1e6)
    assert.ok(value('process_cpu_seconds_total') >= (user + system) / 1e6)
    const lags = lines.filter((line) => line.startsWith('nodejs_eventloop_lag'))
    assert.ok(lags.length > 0)
    for (const line of lags) assert.ok(Number(line.split(' ')[1]) < 3_600, line)
  }
})

test('metrics count requests and records, and name topics as kafka_exporter does', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 2 })
  await server.post('/v1/topics/orders/records', {
    records: [
      { value: 1, partition: 1 },
      { value: 2, partition: 1 },
    ],
  })
  await server.get('/v1/topics/none')
  const reply = await server.get('/metrics')
  assert.match(String(reply.headers['content-type']), /^text\/plain; version=0\.0\.4/)
  const lines = reply.text().split('\n')
  const value = (series: string) => lines.find((line) => line.startsWith(`${series} `))?.split(' ')[1]
  assert.equal(value('kafka_brokers'), '1')
  assert.equal(value('kafka_topic_partitions{topic="orders"}'), '2')
  assert.equal(value('kafka_topic_partition_current_offset{topic="orders",partition="1"}'), '2')
  assert.equal(value('kafka_topic_partition_oldest_offset{topic="orders",partition="1"}'), '0')
  assert.ok(Number(value('tailrace_log_size_bytes{topic="orders",partition="1"}')) > 0)
  assert.equal(value('tailrace_produce_records_total'), '2')
  assert.equal(value('tailrace_produce_requests_total'), '1')
  assert.equal(value('http_server_requests_total{method="POST",route="/v1/topics/:topic/records",status="2xx"}'), '1')
  assert.equal(value('http_server_requests_total{method="GET",route="/v1/topics/:topic",status="4xx"}'), '1')
  assert.equal(
    value('tailrace_log_fsync_duration_seconds_bucket{le="+Inf"}'),
    value('tailrace_log_fsync_duration_seconds_count'),
  )
  assert.ok(Number(value('nodejs_eventloop_lag_p99_seconds')) >= 0)
  assert.equal(
    new Set(lines.filter((line) => line.startsWith('# TYPE'))).size,
    lines.filter((line) => line.startsWith('# TYPE')).length,
  )
})

test('metrics show groups with what they have committed, and how far they are behind', async (t) => {
  const server = await startServer(t)
  await server.post('/v1/topics', { name: 'orders', partitions: 2 })
  const records = [0, 0, 0, 1].map((partition, value) => ({ value, partition }))
  await server.post('/v1/topics/orders/records', { records })
  const body = { to: 'earliest', topics: ['orders'] }
  assert.equal((await server.request('PATCH', '/v1/groups/billing/offsets', { body })).status, 200)
  const lines = (await server.get('/metrics')).text().split('\n')
  const value = (series: string) => lines.find((line) => line.startsWith(`${series} `))?.split(' ')[1]
  const series = '{consumergroup="billing",topic="orders",partition="0"}'
  assert.equal(value(`kafka_consumergroup_current_offset${series}`), '0')
  assert.equal(value(`kafka_consumergroup_lag${series}`), '3')
  const ofTopic = '{consumergroup="billing",topic="orders"}'
  assert.equal(value(`kafka_consumergroup_current_offset_sum${ofTopic}`), '0')
  assert.equal(value(`kafka_consumergroup_lag_sum${ofTopic}`), '4')
  assert.equal(value('kafka_consumergroup_members{consumergroup="billing"}'), '0')
  assert.equal(value('tailrace_groups{state="Empty"}'), '1')
  assert.equal(value('tailrace_group_committed_offsets_total'), '2')
})
