import { TscError } from '../../../core/index.ts';
import { createKeyedLock } from '../../state/index.ts';
import { isBridged } from '../bridges.ts';
import type { NetworkContext } from '../context.ts';
import type { SandboxNames } from '../keeper-port.ts';
import type { Endpoint } from '../network.ts';
import type { Attachment } from '../records.ts';
import { parseEgress } from './egress.ts';
import {
  egressPrefix,
  egressTable,
  type LimitedContainer,
  renderEgress,
  renderEgressRemoval,
} from './render-egress.ts';
import { type CheckedPort, renderSenders } from './render-senders.ts';

const lock = createKeyedLock();

function checkedPort(endpoint: Endpoint): CheckedPort {
  const linkLocal = (endpoint.linkLocal ?? []).map((address) => address.replace(/\/.*/, ''));
  const own = [endpoint.address, endpoint.address6 ?? '', ...linkLocal].filter((address) => address !== '');
  return {
    hostInterface: endpoint.hostInterface,
    mac: endpoint.mac,
    addresses4: own.filter((address) => !address.includes(':')),
    addresses6: own.filter((address) => address.includes(':')),
  };
}

/** Whether the firewall has rules for this container alone: it is limited, or on a network that checks its senders. */
export function isWatched(context: NetworkContext, attachment: Attachment): boolean {
  const checks = ({ networkId }: Endpoint) => context.state.networks.get(networkId)?.sourceCheck === true;
  return attachment.egress !== undefined || attachment.endpoints.some(checks);
}

/** Links whose senders are checked: all of limited containers, and those of networks that ask for it. */
function checkedPorts(context: NetworkContext): readonly CheckedPort[] {
  return [...context.state.attachments.values()].flatMap((attachment) =>
    attachment.endpoints.flatMap((endpoint) => {
      const network = context.state.networks.get(endpoint.networkId);
      const isChecked = attachment.egress !== undefined || network?.sourceCheck === true;
      return network && isBridged(network) && isChecked ? [checkedPort(endpoint)] : [];
    }),
  );
}

/** The limited containers of the state, those whose sandbox is still to be opened too: the rules stand before anything is sent. */
function limitedContainers(context: NetworkContext): readonly LimitedContainer[] {
  return [...context.state.attachments.values()].flatMap((attachment) => {
    if (!attachment.egress) return [];
    const endpoints = attachment.endpoints.flatMap((endpoint) => {
      const network = context.state.networks.get(endpoint.networkId);
      if (!network || !isBridged(network)) return [];
      return [{ bridge: network.bridge, ...checkedPort(endpoint) }];
    });
    return [{ containerId: attachment.containerId, rules: attachment.egress.map(parseEgress), endpoints }];
  });
}

/** Prefixes of the containers that the kernel's table knows; undefined: there is no table. */
async function present(context: NetworkContext): Promise<readonly string[] | undefined> {
  const args = ['-j', 'list', 'table', 'inet', egressTable(context.instance)];
  const { status, stdout } = await context.keeper.run({ file: context.nft, args });
  if (status !== 0) return undefined;
  const items = (JSON.parse(stdout) as { readonly nftables: readonly { readonly chain?: { readonly name: string } }[] })
    .nftables;
  return items.flatMap(({ chain }) => (chain?.name.startsWith('c_') ? [chain.name] : []));
}

/** Brings the kernel in line with the state. Nothing is done where nobody is watched and nobody was. */
export function applyEgress(context: NetworkContext): Promise<void> {
  return lock.run(context.instance, async () => {
    const containers = limitedContainers(context);
    const ports = checkedPorts(context);
    const known = await present(context);
    if (ports.length === 0 && known === undefined) return;
    const wanted = new Set(containers.map(({ containerId }) => egressPrefix(containerId)));
    const gone = (known ?? []).filter((prefix) => !wanted.has(prefix));
    const script =
      ports.length === 0
        ? renderEgressRemoval(context.instance)
        : renderEgress(context.instance, containers, gone) + renderSenders(egressTable(context.instance), ports);
    const { status, stderr } = await context.keeper.run({ file: context.nft, args: ['-f', '-'], stdin: script });
    if (status !== 0)
      throw new TscError(
        'network/failed',
        `cannot limit what containers reach: nft: ${stderr.trim().split('\n')[0] ?? ''}`,
        {
          hint: 'x-egress and source_check need a kernel with nf_tables of the inet and bridge families, reject and timeouts of sets',
        },
      );
  });
}

/** Takes the tables away, if there are any. */
export async function removeEgress(context: NetworkContext): Promise<void> {
  if ((await present(context)) === undefined) return;
  await context.keeper.run({ file: context.nft, args: ['-f', '-'], stdin: renderEgressRemoval(context.instance) });
}

/** What the name server of a limited sandbox is told. */
export function egressNames(
  context: NetworkContext,
  attachment: Attachment,
): Pick<SandboxNames, 'limited' | 'allow' | 'gate_table' | 'gate_sets'> {
  return {
    limited: attachment.egress !== undefined,
    allow: (attachment.egress ?? []).flatMap((entry) => {
      const rule = parseEgress(entry);
      return rule.kind === 'name' ? [{ name: rule.name, below: rule.below, port: rule.port }] : [];
    }),
    gate_table: egressTable(context.instance),
    gate_sets: egressPrefix(attachment.containerId),
  };
}
