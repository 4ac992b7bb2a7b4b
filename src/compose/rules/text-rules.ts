import { child, childItems, childText, type Mapping, type Scalar } from '../node.ts';
import { splitCommandLine } from '../shell-words.ts';
import { suggest } from '../suggest.ts';
import type { RuleContext } from './rule-context.ts';

const RESTART = /^(?:no|always|unless-stopped|on-failure(?::\d+)?)$/;

/** Texts of a service that have a form of their own. */
export function texts(service: Mapping, { name, report, warn }: RuleContext): void {
  const restart = child(service, 'restart');
  const policy = childText(service, 'restart');
  if (restart && policy !== undefined && policy !== '' && !RESTART.test(policy)) {
    const near = suggest(policy, ['no', 'always', 'unless-stopped', 'on-failure']);
    const message = `restart of service ${name} is no, always, unless-stopped or on-failure[:n], not ${JSON.stringify(policy)}`;
    const meant = /^(?:yes|true|on)$/i.test(policy) ? 'always' : near;
    report(restart, 'compose/invalid-value', message, meant === undefined ? undefined : `did you mean ${meant}?`);
  }
  for (const link of childItems(service, 'links')) {
    if (link.kind === 'scalar' && link.text.split(':').length > 2)
      report(link, 'compose/invalid-value', `a link of service ${name} is service[:alias], not ${link.text}`);
  }
  for (const key of ['command', 'entrypoint']) {
    const line = child(service, key);
    if (line?.kind === 'scalar') checkCommandLine(line, `${key} of service ${name}`, { report, warn });
  }
}

function checkCommandLine(line: Scalar, what: string, { report, warn }: Pick<RuleContext, 'report' | 'warn'>): void {
  const split = splitCommandLine(line.text);
  if (split === undefined) {
    const hint = 'close it, or write the command as a list';
    report(line, 'compose/invalid-command', `${what} has an unclosed quote or parenthesis`, hint);
  } else if (split.operator !== undefined) {
    const message = `${what} ends before ${JSON.stringify(split.operator)}: no shell runs it, the rest is dropped`;
    warn(line, 'compose/shell-operator', message, 'write ["sh", "-c", "…"] when a shell is meant');
  }
}
