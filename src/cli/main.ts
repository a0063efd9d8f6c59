// The command line's entry: imported by bin/tailrace.js, it runs the command that process.argv names.

process.stderr.write(
  'Usage: tailrace serve | topics | produce | consume | export | import | bench | dump-log | version\n',
)
