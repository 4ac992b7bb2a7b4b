/** One question of the policy: who asks whom over what. */
export interface Ask {
  readonly who: string;
  readonly target: string;
  readonly port: number;
  readonly family: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  /** Whether the policy says that nothing comes back: such a question needs no long wait. */
  readonly dropped: boolean;
}

/** A line of the policy and what it makes us ask; a cell `-` asks nothing. */
interface Row {
  readonly who: string;
  readonly whom: string;
  readonly cells: readonly [string, string];
  readonly asks: readonly [readonly Ask[], readonly Ask[]];
}

const PROTOCOLS = ['tcp', 'udp'] as const;

/**
 * Reads a policy: columns (who, whom, IPv4, IPv6) are two spaces or more apart, lines without columns are headings. A cell is the
 * same for TCP and UDP unless it says `tcp: …, udp: …`.
 */
export function readPolicy(text: string): readonly Row[] {
  return text.split('\n').flatMap((line) => {
    const [who, whom, four, six] = line.trim().split(/\s{2,}/);
    if (who === undefined || whom === undefined || four === undefined || six === undefined) return [];
    const at = whom.lastIndexOf(':');
    const base = { who, target: whom.slice(0, at), port: Number(whom.slice(at + 1)) };
    const asks = (cell: string, family: 4 | 6) =>
      cell === '-' ? [] : PROTOCOLS.map((protocol) => ({ ...base, family, protocol, dropped: cell === 'drop' }));
    return [{ who, whom, cells: [four, six], asks: [asks(four, 4), asks(six, 6)] }];
  });
}

/** The same policy with what was really heard, line by line. */
export function writePolicy(text: string, heard: ReadonlyMap<Ask, string>, rows: readonly Row[]): string {
  const cellOf = (asks: readonly Ask[]): string => {
    if (asks.length === 0) return '-';
    const [tcp, udp] = asks.map((ask) => heard.get(ask) ?? 'not asked');
    return tcp === udp ? `${tcp}` : `tcp: ${tcp}, udp: ${udp}`;
  };
  const lines = rows.map(({ who, whom, asks }) => writeRow(who, whom, [cellOf(asks[0]), cellOf(asks[1])]));
  let next = 0;
  return text
    .split('\n')
    .map((line) => (/\S\s{2,}\S/.test(line.trim()) ? (lines[next++] ?? '') : line.trim()))
    .join('\n');
}

function writeRow(who: string, whom: string, cells: readonly [string, string]): string {
  return `${who.padEnd(10)}  ${whom.padEnd(22)}  ${cells[0].padEnd(26)}  ${cells[1]}`.trimEnd();
}
