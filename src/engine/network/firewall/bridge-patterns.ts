/** Names under which other firewalls know our bridges: one, ending in `+`, for all of the instance, and those that were given. Pure. */
export function bridgePatterns(instance: string, bridges: readonly string[]): readonly string[] {
  return [`${instance}-+`, ...bridges.filter((name) => !name.startsWith(`${instance}-`))];
}
