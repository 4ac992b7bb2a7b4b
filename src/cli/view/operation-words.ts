import type { Operation, OperationState } from '../../stack/index.ts';

const OBJECT: Readonly<Record<Operation['kind'], string>> = {
  'create-network': 'Network',
  'remove-network': 'Network',
  'create-volume': 'Volume',
  'remove-volume': 'Volume',
  'remove-image': 'Image',
  'create-container': 'Container',
  'start-container': 'Container',
  'stop-container': 'Container',
  'remove-container': 'Container',
  'rename-container': 'Container',
  wait: 'Service',
};

const DOING: Readonly<Record<Operation['kind'], readonly [doing: string, done: string]>> = {
  'create-network': ['Creating', 'Created'],
  'remove-network': ['Removing', 'Removed'],
  'create-volume': ['Creating', 'Created'],
  'remove-volume': ['Removing', 'Removed'],
  'remove-image': ['Removing', 'Removed'],
  'create-container': ['Creating', 'Created'],
  'start-container': ['Starting', 'Started'],
  'stop-container': ['Stopping', 'Stopped'],
  'remove-container': ['Removing', 'Removed'],
  'rename-container': ['Recreating', 'Recreated'],
  wait: ['Waiting', 'Ready'],
};

const CONDITION_WORDS: Readonly<Record<string, string>> = {
  service_started: 'running',
  service_healthy: 'healthy',
  service_completed_successfully: 'completed',
  ready: 'ready',
};

/** Causes that go without saying. */
const PLAIN_CAUSES: ReadonlySet<string> = new Set([
  'no container',
  'created',
  'recreated',
  'down',
  'stop',
  'no such network',
  'no such volume',
  '--volumes',
  '--rmi',
  '--wait',
]);

/** A successor's name until its predecessor is gone. */
const TEMPORARY = /^[0-9a-f]{12}_/;

/** `Container demo-web-1`: what the operation acts on, under the name people know. */
export function subjectOf(operation: Operation): string {
  // The successor's temporary name means nothing to people.
  const name = operation.name.replace(TEMPORARY, '');
  return `${OBJECT[operation.kind]} ${name}`;
}

/** `Container demo-web-1  Started`; undefined when the step is not worth a line. */
export function describeOperation(operation: Operation, state: OperationState): string | undefined {
  const [doing, done] = DOING[operation.kind];
  const subject = subjectOf(operation);
  if (operation.kind === 'wait') {
    const condition = CONDITION_WORDS[operation.condition] ?? operation.condition;
    return state === 'begin' ? `${subject}  Waiting until ${condition}` : `${subject}  ${capital(condition)}`;
  }
  if (state === 'begin' || isInner(operation)) return undefined;
  const cause =
    PLAIN_CAUSES.has(operation.cause) || operation.kind === 'start-container' ? '' : ` (${operation.cause})`;
  return `${subject}  ${state === 'failed' ? `${doing} failed` : done}${cause}`;
}

/** Steps of a replacement: its last one, the successor taking the name, is told with the cause. */
function isInner(operation: Operation): boolean {
  return operation.cause === 'replaced' || (operation.kind === 'create-container' && TEMPORARY.test(operation.name));
}

/** What the live list shows while the operation runs. */
export function describeBegin(operation: Operation): string {
  if (operation.kind === 'wait') return `Waiting until ${CONDITION_WORDS[operation.condition] ?? operation.condition}`;
  return DOING[operation.kind][0];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
