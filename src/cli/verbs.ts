import type { Context } from './context.ts';

/** `[flags, description, kind]`; without a kind: a switch, or one text value. */
type OptionRow = readonly [flags: string, description: string, kind?: 'list' | 'count'];

export interface Verb {
  /** Name and arguments as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** An older name that scripts may use. */
  readonly alias?: string;
  readonly options: readonly OptionRow[];
  /** Options after the first argument belong to the command that is run. */
  readonly passThrough?: boolean;
  /** `--dry-run` prints the plan and changes nothing. */
  readonly dryRun?: boolean;
  readonly load: () => Promise<{ readonly run: Run }>;
}

// The options object of each verb is checked where it is declared: `never` accepts every parameter type.
type Run = (context: Context, values: readonly string[], options: never) => Promise<number>;

const TIMEOUT: OptionRow = ['-t, --timeout <seconds>', 'grace before a container is killed', 'count'];
const FORMAT: OptionRow = ['--format <format>', 'table or json'];

const EXECUTION: readonly OptionRow[] = [
  ['-d, --detach', 'run in the background'],
  ['-e, --env <name=value>', 'set a variable', 'list'],
  ['-u, --user <user>', 'run as this user'],
  ['-w, --workdir <path>', 'working directory in the container'],
  ['-T, --no-tty', 'no terminal'],
];

/** Every command, in the order of the help. The code of each is loaded when it is called. */
export const VERBS: readonly Verb[] = [
  {
    usage: 'up [services...]',
    summary: 'Create and start the services',
    dryRun: true,
    options: [
      ['-d, --detach', 'run in the background'],
      ['--build', 'build images first'],
      ['--no-build', 'do not build, even if an image is missing'],
      ['--pull <policy>', 'always, missing or never'],
      ['--wait', 'wait until services are running or healthy; implies -d'],
      ['--wait-timeout <seconds>', 'longest wait', 'count'],
      ['--no-deps', 'leave dependencies alone'],
      ['--no-start', 'create only'],
      ['--force-recreate', 'recreate even what has not changed'],
      ['--no-recreate', 'keep existing containers as they are'],
      ['-V, --renew-anon-volumes', 'new anonymous volumes for recreated containers'],
      ['--remove-orphans', 'remove containers of services the file does not have'],
      ['--scale <service=number>', 'replicas of a service', 'list'],
      ['--abort-on-container-exit', 'stop everything when one container ends'],
      ['--exit-code-from <service>', 'exit with the status of this service; implies --abort-on-container-exit'],
      TIMEOUT,
      ['-w, --watch', 'watch files as develop.watch says'],
      ['--loopback', 'publish ports that name no address on this machine only (x-tscompose: {publish: loopback})'],
      ['--no-log-prefix', 'no names in front of log lines'],
      ['--no-color', 'no colours in front of log lines'],
      ['--timestamps', 'times in front of log lines'],
      ['-y, --yes', 'assume yes'],
    ],
    load: () => import('./commands/up.ts'),
  },
  {
    usage: 'down [services...]',
    summary: 'Stop and remove containers and networks',
    dryRun: true,
    options: [
      ['-v, --volumes', 'remove named and anonymous volumes as well'],
      ['--remove-orphans', 'remove containers of services the file does not have'],
      ['--rmi <which>', 'remove images: local or all'],
      TIMEOUT,
    ],
    load: () => import('./commands/down.ts'),
  },
  {
    usage: 'ps [services...]',
    summary: 'List containers',
    options: [
      ['-a, --all', 'stopped ones as well'],
      ['-q, --quiet', 'ids only'],
      ['--services', 'names of services only'],
      ['--status <status>', 'only containers in this state', 'list'],
      FORMAT,
    ],
    load: () => import('./commands/ps.ts'),
  },
  {
    usage: 'logs [services...]',
    summary: 'Show the output of containers',
    options: [
      ['-f, --follow', 'go on as output appears'],
      ['-n, --tail <lines>', 'last lines of each container, or all'],
      ['-t, --timestamps', 'times in front of the lines'],
      ['--since <time>', 'only after this time (RFC 3339, or 10m)'],
      ['--until <time>', 'only before this time'],
      ['--no-log-prefix', 'no names in front'],
      ['--no-color', 'no colours'],
      ['--index <number>', 'only this replica', 'count'],
    ],
    load: () => import('./commands/logs.ts'),
  },
  {
    usage: 'exec <service> <command> [args...]',
    summary: 'Run a command in a running container',
    passThrough: true,
    options: [...EXECUTION, ['--index <number>', 'which replica', 'count'], ['--privileged', 'with all privileges']],
    load: () => import('./commands/exec.ts'),
  },
  {
    usage: 'run <service> [command...]',
    summary: 'Run a one-off container of a service',
    passThrough: true,
    options: [
      ...EXECUTION,
      ['--rm', 'remove the container when it ends'],
      ['-p, --publish <port>', 'publish a port: [address:][host:]container[/protocol]', 'list'],
      ['-P, --service-ports', 'publish the ports of the service'],
      ['--use-aliases', 'answer to the names of the service'],
      ['-v, --volume <mount>', 'mount: source:target[:options]', 'list'],
      ['--entrypoint <command>', 'entry point instead of that of the image'],
      ['-l, --label <name=value>', 'add a label', 'list'],
      ['--cap-add <capability>', 'add a capability', 'list'],
      ['--cap-drop <capability>', 'drop a capability', 'list'],
      ['--no-deps', 'leave dependencies alone'],
      ['--name <name>', 'name of the container'],
      ['--build', 'build the image first'],
      ['--pull <policy>', 'always, missing or never'],
      ['-i, --interactive', 'keep stdin open (the default)'],
      ['--no-interactive', 'leave stdin closed'],
      ['--remove-orphans', 'remove containers of services the file does not have'],
    ],
    load: () => import('./commands/run.ts'),
  },
  {
    usage: 'build [services...]',
    summary: 'Build images',
    options: [
      ['--no-cache', 'build every step anew'],
      ['--pull', 'pull base images anew'],
      ['--build-arg <name=value>', 'set an ARG', 'list'],
      ['-q, --quiet', 'no output of the steps'],
    ],
    load: () => import('./commands/build.ts'),
  },
  {
    usage: 'pull [services...]',
    summary: 'Pull images',
    options: [
      ['-q, --quiet', 'no progress'],
      ['--ignore-buildable', 'leave images that can be built'],
      ['--ignore-pull-failures', 'go on when one fails'],
    ],
    load: () => import('./commands/pull.ts'),
  },
  {
    usage: 'stop [services...]',
    summary: 'Stop services',
    options: [TIMEOUT],
    load: () => import('./commands/stop.ts'),
  },
  {
    usage: 'start [services...]',
    summary: 'Start stopped services',
    options: [],
    load: () => import('./commands/start.ts'),
  },
  {
    usage: 'restart [services...]',
    summary: 'Restart services',
    options: [TIMEOUT, ['--no-deps', 'leave dependents alone']],
    load: () => import('./commands/restart.ts'),
  },
  {
    usage: 'kill [services...]',
    summary: 'Send a signal to services',
    options: [['-s, --signal <signal>', 'SIGKILL unless told']],
    load: () => import('./commands/kill.ts'),
  },
  {
    usage: 'rm [services...]',
    summary: 'Remove stopped containers',
    options: [
      ['-f, --force', 'do not ask'],
      ['-s, --stop', 'stop them first'],
      ['-v, --volumes', 'remove anonymous volumes as well'],
    ],
    load: () => import('./commands/rm.ts'),
  },
  {
    usage: 'images [services...]',
    summary: 'List the images of containers',
    options: [['-q, --quiet', 'ids only'], FORMAT],
    load: () => import('./commands/images.ts'),
  },
  {
    usage: 'port <service> <private-port>',
    summary: 'Show the host address of a published port',
    options: [
      ['--protocol <protocol>', 'tcp or udp'],
      ['--index <number>', 'which replica', 'count'],
    ],
    load: () => import('./commands/port.ts'),
  },
  { usage: 'top [services...]', summary: 'Show processes', options: [], load: () => import('./commands/top.ts') },
  {
    usage: 'config [services...]',
    alias: 'convert',
    summary: 'Check the files and print the model',
    options: [
      ['--format <format>', 'yaml or json'],
      ['-q, --quiet', 'check only'],
      ['-o, --output <file>', 'write to a file'],
      ['--services', 'names of services'],
      ['--volumes', 'names of volumes'],
      ['--networks', 'names of networks'],
      ['--images', 'names of images'],
      ['--profiles', 'names of profiles'],
      ['--models', 'names of models'],
      ['--environment', 'variables that interpolation sees'],
      ['--variables', 'variables that the files use, with their defaults'],
      ['--hash <services>', 'definition hash of services, or * for all'],
      ['--no-interpolate', 'leave variables unexpanded'],
      ['--no-normalize', 'leave out what the specification implies'],
      ['--no-path-resolution', 'leave paths relative'],
      ['--no-consistency', 'do not check references between services'],
      ['--no-env-resolution', 'leave env files and label files unread'],
      ['--resolve-image-digests', 'pin images to the digests their tags have now'],
      ['--lock-image-digests', 'print an override file that pins the images'],
      ['--explain <what>', 'where a value came from: a path such as services.web.image, or a variable'],
    ],
    load: () => import('./commands/config.ts'),
  },
  {
    usage: 'lint [services...]',
    summary: 'Check the files for what is allowed and rarely wanted',
    options: [
      ['--format <format>', 'text, json or sarif'],
      ['-o, --output <file>', 'write to a file'],
      ['--rule <name=level>', 'off, warning or error for a rule; repeatable', 'list'],
      ['--strict', 'fail on warnings as well'],
      ['--codes', 'list every code with its meaning'],
    ],
    load: () => import('./commands/lint.ts'),
  },
  {
    usage: 'graph [services...]',
    summary: 'Draw which service depends on which',
    options: [
      ['--format <format>', 'text, mermaid, dot or svg'],
      ['-o, --output <file>', 'write to a file'],
    ],
    load: () => import('./commands/graph.ts'),
  },
  {
    usage: 'lsp',
    summary: 'Serve an editor: the Language Server Protocol on standard input and output',
    options: [['--stdio', 'the only way there is; accepted because editors say it']],
    load: () => import('./commands/lsp.ts'),
  },
  {
    usage: 'ls',
    summary: 'List projects',
    options: [['-a, --all', 'stopped ones as well'], ['-q, --quiet', 'names only'], FORMAT],
    load: () => import('./commands/ls.ts'),
  },
  {
    usage: 'watch [services...]',
    summary: 'Watch files and sync, rebuild or restart as develop.watch says',
    options: [
      ['--no-up', 'do not bring the services up first'],
      ['--quiet', 'no build output'],
    ],
    load: () => import('./commands/watch.ts'),
  },
  {
    usage: 'version',
    summary: 'Show versions',
    options: [
      ['--short', 'the number only'],
      ['-f, --format <format>', 'pretty or json'],
    ],
    load: () => import('./commands/version.ts'),
  },
];
