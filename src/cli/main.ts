// The command line's entry: imported by bin/tailrace.js, it runs the command that process.argv names. No await at the top:
// the launcher goes on when what every command needs is loaded.

import { runCommandLine } from './command-line.ts'
import { Terminal } from './terminal.ts'

const terminal = new Terminal(process)
void runCommandLine(process.argv.slice(2), terminal).then((exitCode) => terminal.exit(exitCode))
