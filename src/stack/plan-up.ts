import type { ContainerSpec } from '../client/index.ts';
import type { Project, Service } from '../compose/index.ts';
import { sortTopologically, TscError } from '../core/index.ts';
import { compareDefinitions, defineContainer, hashService, readDefinition, refersToServices } from './definition.ts';
import { LABEL } from './labels.ts';
import { isUp, type ObservedContainer, type ObservedState, replicasIn } from './observed-state.ts';
import { type HashOfIds, type Plan, PlanBuilder } from './plan.ts';
import { settleReplacements } from './plan-interrupted.ts';
import { planNetworks, planVolumes } from './plan-objects.ts';
import { planReplacement } from './plan-replacement.ts';
import { replicaName, toContainerSpec } from './service-spec.ts';

export interface UpOptions {
  /** Services to bring up, with their dependencies; all when empty. */
  readonly services: readonly string[];
  readonly noDeps: boolean;
  readonly recreate: 'changed' | 'always' | 'never';
  readonly removeOrphans: boolean;
  readonly renewAnonymousVolumes: boolean;
  /** Replicas by service; over the file's number. */
  readonly scale: ReadonlyMap<string, number>;
  /** Seconds of grace for replaced containers. */
  readonly timeout?: number;
  /** false: create only. */
  readonly start: boolean;
  /** Wait until every service is up (`--wait`). */
  readonly wait: boolean;
  /** Only prepare for a one-off run of this service: its networks, volumes and dependencies, none of its own replicas. */
  readonly oneOffOf?: string;
}

/** What planning needs to know. */
export interface UpInput {
  readonly project: Project;
  readonly have: ObservedState;
  /** Id of the image each service will run. */
  readonly imageIds: ReadonlyMap<string, string>;
  readonly options: UpOptions;
}

/** Operations of one service that others wait for. */
interface ServiceSteps {
  /** Last operation that makes each replica's container exist. */
  readonly created: readonly number[];
  /** Starts and waits that make the service count as started. */
  readonly started: readonly number[];
  readonly containers: readonly string[];
  /** Those of them that are made anew. */
  readonly renewed: readonly string[];
  /** Whether anything of the service is new or newly started. */
  readonly changed: boolean;
}

/** Names of the services to bring up, dependencies first. Throws when a named service does not exist. */
export function selectServices(project: Project, names: readonly string[], noDeps: boolean): string[] {
  const wanted = new Set<string>();
  const visit = (name: string) => {
    const service = project.services.get(name);
    if (!service) {
      throw new TscError('stack/not-found', `no such service: ${name}`, {
        hint: `services of this project: ${[...project.services.keys()].join(', ')}`,
      });
    }
    if (wanted.has(name)) return;
    wanted.add(name);
    if (noDeps) return;
    for (const [dependency] of service.dependsOn) if (project.services.has(dependency)) visit(dependency);
  };
  for (const name of names.length > 0 ? names : project.services.keys()) visit(name);
  const sorted = sortTopologically(
    [...project.services.keys()].filter((name) => wanted.has(name)),
    (name) => project.services.get(name)?.dependsOn.keys() ?? [],
  );
  if ('order' in sorted) return sorted.order;
  throw new TscError('stack/invalid', `services depend on each other: ${sorted.cycle.join(' → ')}`);
}

/** Decides everything that `up` will do. Pure. */
export function planUp(input: UpInput): Plan {
  const builder = new PlanBuilder();
  const names = selectServices(input.project, input.options.services, input.options.noDeps);
  const services = names.flatMap((name) => input.project.services.get(name) ?? []);
  const objects = new Map([...planNetworks(builder, input, services), ...planVolumes(builder, input, services)]);
  const steps = new Map<string, ServiceSteps>();
  for (const service of services) {
    if (service.name === input.options.oneOffOf) planConditions(builder, input.project, service, { steps, objects });
    else steps.set(service.name, planService(builder, input, service, { steps, objects }));
  }
  if (input.options.removeOrphans) planOrphans(builder, input);
  if (input.options.wait) planFinalWaits(builder, services, steps);
  return builder.finish(input.project.name);
}

interface Context {
  readonly steps: ReadonlyMap<string, ServiceSteps>;
  /** Operation that creates a network or volume, by real name. */
  readonly objects: ReadonlyMap<string, number>;
}

function planService(builder: PlanBuilder, input: UpInput, service: Service, context: Context): ServiceSteps {
  const { have, options } = input;
  const want = wantedReplicas(input, service);
  const { present, before } = settleReplacements(builder, replicasIn(have, service.name));
  const keep = chooseKept(present, want);
  const surplus = present.filter((item) => !keep.includes(item));
  // A fixed name or port of a surplus replica may be needed by nobody: they go first, in parallel.
  for (const item of surplus)
    planRemoval(builder, item, { timeout: options.timeout, cause: `scale to ${want}`, before });

  // Only a start has to wait: a service that stays as it is costs no wait.
  let known: readonly number[] | undefined;
  const conditions = () => {
    known ??= options.noDeps ? [] : planConditions(builder, input.project, service, context);
    return known;
  };
  const created: number[] = [];
  const started: number[] = [];
  const containers: string[] = [];
  const renewed: string[] = [];
  let changed = false;
  const numbers = freeNumbers(keep, want);
  for (let index = 0; index < want; index += 1) {
    const old = keep[index];
    const number = old?.number ?? numbers.shift() ?? index + 1;
    const fate = planReplica(builder, { input, service, number, context, before, ...(old && { old }) }, conditions);
    containers.push(fate.name);
    if (fate.created !== undefined) {
      created.push(fate.created);
      renewed.push(fate.name);
    }
    if (fate.started !== undefined) started.push(fate.started);
    changed ||= fate.started !== undefined;
  }
  return { created, started, containers, renewed, changed };
}

/** What becomes of one replica; absent numbers: nothing to do. */
interface ReplicaFate {
  readonly name: string;
  readonly created?: number | undefined;
  readonly started?: number | undefined;
}

interface ReplicaPlanInput {
  readonly input: UpInput;
  readonly service: Service;
  readonly number: number;
  readonly context: Context;
  /** Operations that settle what an earlier command left half done. */
  readonly before: readonly number[];
  readonly old?: ObservedContainer;
}

function planReplica(
  builder: PlanBuilder,
  replica: ReplicaPlanInput,
  conditions: () => readonly number[],
): ReplicaFate {
  const { input, service, number, old, context } = replica;
  const spec = finishSpec(input, service, number);
  const cause = old
    ? (recreateCause(input, service, spec, old) ?? lostOwner(replica, old))
    : missingCause(input, service);
  const hash = hashWithIds(input, service);
  const after = [...replica.before, ...creationOrder(spec, service, context)];
  const start = (created: number | undefined, why: string) =>
    input.options.start
      ? builder.add({ kind: 'start-container', name: spec.name, service: service.name }, why, [
          created,
          ...replica.before,
          ...conditions(),
        ])
      : undefined;
  if (!old) {
    const created = builder.add(
      { kind: 'create-container', name: spec.name, service: service.name, spec, hash },
      cause ?? '',
      after,
    );
    return { name: spec.name, created, started: start(created, 'created') };
  }
  if (cause === undefined) {
    if (isUp(old)) return { name: old.name };
    return { name: old.name, started: start(undefined, old.state === 'created' ? 'not started yet' : 'not running') };
  }
  const created = planReplacement(builder, {
    spec,
    old,
    hash,
    cause,
    after,
    service: service.name,
    have: input.have,
    renewAnonymousVolumes: input.options.renewAnonymousVolumes,
    ...(input.options.timeout !== undefined && { timeout: input.options.timeout }),
  });
  return { name: spec.name, created, started: start(created, 'recreated') };
}

/** The spec with the labels that depend on it: definition, hash, image id. */
function finishSpec(input: UpInput, service: Service, number: number): ContainerSpec {
  const containerOf = (name: string) => firstContainer(input, name);
  const spec = toContainerSpec({ project: input.project, service, number, containerOf });
  const definition = defineContainer(spec);
  const imageId = input.imageIds.get(service.name);
  return {
    ...spec,
    labels: {
      ...spec.labels,
      [LABEL.configHash]: hashService(service),
      [LABEL.definition]: JSON.stringify(definition),
      ...(imageId !== undefined && { [LABEL.image]: imageId }),
    },
  };
}

function hashWithIds(input: UpInput, service: Service): HashOfIds | undefined {
  if (!refersToServices(service)) return undefined;
  return (idOf) => hashService(service, (name) => idOf(firstContainer(input, name)));
}

function firstContainer(input: UpInput, name: string): string {
  const service = input.project.services.get(name);
  if (!service) throw new TscError('stack/not-found', `no such service: ${name}`);
  return replicasIn(input.have, name)[0]?.name ?? replicaName(input.project.name, service, 1);
}

function missingCause(input: UpInput, service: Service): string {
  return replicasIn(input.have, service.name).length > 0 ? 'scale up' : 'no container';
}

/** Why the old container cannot stay; undefined when it can. */
function recreateCause(
  input: UpInput,
  service: Service,
  spec: ContainerSpec,
  old: ObservedContainer,
): string | undefined {
  if (input.options.recreate === 'never') return undefined;
  if (input.options.recreate === 'always') return 'forced';
  // No part of the hash, as docker compose leaves every x- key out of it; a connection made under other rules must end.
  if (old.labels[LABEL.egress] !== spec.labels[LABEL.egress]) return 'x-egress changed';
  const have = readDefinition(old.labels);
  const differences = have && compareDefinitions(have, defineContainer(spec));
  if (differences && differences.length > 0) return differences.join(', ');
  const idOf = (name: string) => input.have.containers.find((item) => item.name === name)?.id ?? name;
  const hash = hashWithIds(input, service)?.(idOf) ?? spec.labels[LABEL.configHash];
  if (!differences && old.labels[LABEL.configHash] !== hash) return 'created by another tool with other settings';
  const imageId = input.imageIds.get(service.name);
  if (imageId !== undefined && !sameImage(old, imageId)) return 'image content changed';
  return old.state === 'dead' ? 'container is dead' : undefined;
}

/** A namespace belongs to one container: whoever shares it follows when its owner is replaced, or was since. */
function lostOwner({ input, service, context }: ReplicaPlanInput, old: ObservedContainer): string | undefined {
  if (input.options.recreate === 'never') return undefined;
  const owner = [...service.dependsOn.keys()].find((name) => {
    if (!sharesNamespace(service, name)) return false;
    const now = replicasIn(input.have, name)[0];
    if (now && now.created > old.created) return true;
    return context.steps.get(name)?.renewed.includes(firstContainer(input, name));
  });
  return owner && `shares a namespace of ${owner}, which was replaced`;
}

function sameImage(old: ObservedContainer, imageId: string): boolean {
  return (old.labels[LABEL.image] ?? old.imageId) === imageId || old.imageId === imageId;
}

/** Networks, volumes and namespace owners exist before the container is created. */
function creationOrder(spec: ContainerSpec, service: Service, context: Context): number[] {
  const objects = [...spec.endpoints.map(({ network }) => network), ...spec.mounts.map(({ source }) => source ?? '')];
  // Links on the default network name containers that exist.
  const owners = [...service.dependsOn.keys()].filter(
    (name) => sharesWith(service, name) || (spec.links ?? []).length > 0,
  );
  return [
    ...objects.flatMap((name) => context.objects.get(name) ?? []),
    ...owners.flatMap((name) => context.steps.get(name)?.created ?? []),
    // A shared namespace must be alive when it is joined.
    ...owners.flatMap((name) => (sharesNamespace(service, name) ? (context.steps.get(name)?.started ?? []) : [])),
  ];
}

function sharesNamespace(service: Service, name: string): boolean {
  return [service.networkMode, service.pid, service.ipc].includes(`service:${name}`);
}

function sharesWith(service: Service, name: string): boolean {
  return sharesNamespace(service, name) || service.volumesFrom.some((text) => text.split(':')[0] === name);
}

/** Operations that must succeed before the service may start: starts of and waits for its dependencies. */
function planConditions(builder: PlanBuilder, project: Project, service: Service, context: Context): number[] {
  return [...service.dependsOn].flatMap(([name, dependency]) => {
    const steps = context.steps.get(name);
    if (!steps || !project.services.has(name)) return [];
    if (dependency.condition === 'service_started') return [...steps.started];
    if (steps.containers.length === 0) return [];
    const wait = {
      kind: 'wait',
      name,
      service: name,
      condition: dependency.condition,
      containers: steps.containers,
      required: dependency.required,
    } as const;
    return [builder.add(wait, `${service.name} depends on it`, steps.started)];
  });
}

function planFinalWaits(
  builder: PlanBuilder,
  services: readonly Service[],
  steps: ReadonlyMap<string, ServiceSteps>,
): void {
  const completing = new Set(
    services.flatMap((service) =>
      [...service.dependsOn].flatMap(([name, { condition }]) =>
        condition === 'service_completed_successfully' ? [name] : [],
      ),
    ),
  );
  for (const { name } of services) {
    const step = steps.get(name);
    if (!step || step.containers.length === 0) continue;
    const condition = completing.has(name) ? 'service_completed_successfully' : 'ready';
    builder.add(
      { kind: 'wait', name, service: name, condition, containers: step.containers, required: true },
      '--wait',
      step.started,
    );
  }
}

function planOrphans(builder: PlanBuilder, input: UpInput): void {
  for (const item of findOrphans(input.have, input.project))
    planRemoval(builder, item, { timeout: input.options.timeout, cause: 'service is not in the file', before: [] });
}

/** Containers of services that the files do not know. */
export function findOrphans(have: ObservedState, project: Project): ObservedContainer[] {
  return have.containers.filter(
    (item) => !item.oneoff && !project.services.has(item.service) && !project.disabledServices.has(item.service),
  );
}

interface Removal {
  readonly timeout: number | undefined;
  readonly cause: string;
  readonly before: readonly number[];
}

function planRemoval(builder: PlanBuilder, item: ObservedContainer, { timeout, cause, before }: Removal): void {
  const { name, service } = item;
  const stopped = isUp(item)
    ? builder.add({ kind: 'stop-container', name, service, ...(timeout !== undefined && { timeout }) }, cause, before)
    : undefined;
  builder.add({ kind: 'remove-container', name, service, volumes: false, force: true }, cause, [stopped, ...before]);
}

function wantedReplicas(input: UpInput, service: Service): number {
  const want = input.options.scale.get(service.name) ?? service.scale ?? service.deploy?.replicas ?? 1;
  if (want > 1 && service.containerName) {
    throw new TscError(
      'stack/invalid',
      `service ${service.name}: container_name allows one replica, ${want} are wanted`,
      {
        hint: 'remove container_name, or scale to 1',
      },
    );
  }
  return want;
}

/** The replicas that stay: running ones and low numbers first. */
function chooseKept(present: readonly ObservedContainer[], want: number): ObservedContainer[] {
  return [...present]
    .sort((a, b) => Number(isUp(b)) - Number(isUp(a)) || a.number - b.number)
    .slice(0, want)
    .sort((a, b) => a.number - b.number);
}

function freeNumbers(keep: readonly ObservedContainer[], want: number): number[] {
  const taken = new Set(keep.map(({ number }) => number));
  return Array.from({ length: want + keep.length }, (_, index) => index + 1).filter((number) => !taken.has(number));
}
