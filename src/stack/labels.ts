import type { Labels } from '../client/index.ts';
import { egressOf, type Project, type Service } from '../compose/index.ts';

/** The label set of docker compose, byte for byte: that is how both commands see each other's projects. */
export const LABEL = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  number: 'com.docker.compose.container-number',
  oneoff: 'com.docker.compose.oneoff',
  configHash: 'com.docker.compose.config-hash',
  image: 'com.docker.compose.image',
  workingDirectory: 'com.docker.compose.project.working_dir',
  configFiles: 'com.docker.compose.project.config_files',
  environmentFile: 'com.docker.compose.project.environment_file',
  dependsOn: 'com.docker.compose.depends_on',
  version: 'com.docker.compose.version',
  network: 'com.docker.compose.network',
  volume: 'com.docker.compose.volume',
  slug: 'com.docker.compose.slug',
  replace: 'com.docker.compose.replace',
  /** Ours: short digests per attribute, so that a change can be named. Values themselves are not kept. */
  definition: 'dev.tscompose.definition',
  /** Ours, and read by our engine: what the container may reach outside its networks, a JSON list. */
  egress: 'dev.tscompose.egress',
} as const;

/** Version written to objects: that of the label set, which tools compare. */
export const LABEL_VERSION = '2.40.0';

/** Labels of every container of a service. */
export function containerLabels(project: Project, service: Service, number: number, oneoff: boolean): Labels {
  const egress = egressOf(service);
  return {
    ...Object.fromEntries(service.labels),
    ...(egress && { [LABEL.egress]: JSON.stringify(egress) }),
    [LABEL.project]: project.name,
    [LABEL.service]: service.name,
    [LABEL.oneoff]: oneoff ? 'True' : 'False',
    ...(!oneoff && { [LABEL.number]: String(number) }),
    [LABEL.workingDirectory]: project.workingDirectory,
    [LABEL.configFiles]: project.composeFiles.join(','),
    ...(project.envFiles.length > 0 && { [LABEL.environmentFile]: project.envFiles.join(',') }),
    [LABEL.dependsOn]: oneoff ? '' : formatDependsOn(service),
    [LABEL.version]: LABEL_VERSION,
  };
}

/** `db:service_healthy:false,cache:service_started:false` */
export function formatDependsOn(service: Service): string {
  return [...service.dependsOn]
    .map(([name, dependency]) => `${name}:${dependency.condition}:${dependency.restart}`)
    .join(',');
}

/** Names of the services in a depends_on label. */
export function parseDependsOn(label: string | undefined): string[] {
  return (label ?? '')
    .split(',')
    .map((item) => item.split(':')[0] ?? '')
    .filter((name) => name !== '');
}
