import { expect, it } from 'vitest';
import { linkVariables } from './link-variables.ts';

it('tells where a linked container listens and what it was configured with, as Docker does', () => {
  const target = {
    owner: 'web',
    alias: 'my-db',
    address: '172.17.0.2',
    exposedPorts: ['5432/tcp', '53/udp', '91/tcp', '90/tcp', '92/tcp'],
    env: ['PATH=/bin', 'HOME=/root', 'FOO=bar=baz', 'BARE'],
  };
  const port = (number: number, protocol: string) => {
    const name = `MY_DB_PORT_${number}_${protocol.toUpperCase()}`;
    const url = `${protocol}://172.17.0.2:${number}`;
    return [`${name}=${url}`, `${name}_ADDR=172.17.0.2`, `${name}_PORT=${number}`, `${name}_PROTO=${protocol}`];
  };
  expect(linkVariables(target)).toEqual([
    'MY_DB_PORT=tcp://172.17.0.2:90',
    ...[port(90, 'tcp'), port(91, 'tcp'), port(92, 'tcp'), port(5432, 'tcp'), port(53, 'udp')].flat(),
    'MY_DB_PORT_90_TCP_START=tcp://172.17.0.2:90',
    'MY_DB_PORT_90_TCP_PORT_START=90',
    'MY_DB_PORT_90_TCP_END=tcp://172.17.0.2:92',
    'MY_DB_PORT_90_TCP_PORT_END=92',
    'MY_DB_NAME=/web/my-db',
    'MY_DB_ENV_FOO=bar=baz',
  ]);
  expect(linkVariables({ ...target, exposedPorts: [], env: [] })).toEqual(['MY_DB_NAME=/web/my-db']);
});
