// Options of commands that talk to a server, for the tables of commands.

import type { Command } from 'commander'
import { Option } from 'commander'
import { DEFAULT_URL } from '../client/server-url.ts'
import { OUTPUTS } from './table.ts'

export function talking(command: Command): Command {
  return command.option('-u, --url <url>', `the server (else TAILRACE_URL, else ${DEFAULT_URL})`)
}

export function listing(command: Command): Command {
  return talking(command).addOption(output())
}

export function output(forms: readonly string[] = OUTPUTS): Option {
  return new Option('--output <form>', 'table on a terminal, ndjson in a pipe if left out').choices(forms)
}
