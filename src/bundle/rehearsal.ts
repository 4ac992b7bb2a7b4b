/** What the build runs so that V8 compiles it: a small application with what compose files usually hold. */
export const SAMPLE: Readonly<Record<string, string>> = {
  'compose.yaml': `services:
  web:
    image: "nginx:\${TAG:-1}"
    ports: ["80:80"]
    depends_on: {api: {condition: service_healthy}}
  api:
    build: ./api
    environment: {A: 1}
    healthcheck: {test: [CMD, x], interval: 5s}
    volumes: ["./src:/src"]
  db:
    image: postgres:16
    volumes:
      - data:/var/lib/postgresql/data
    restart: unless-stopped
    env_file: [.env]
  worker: {extends: api, command: "worker --all"}
volumes: {data: }
networks:
  default: {}
`,
  'stack.yaml': `services:
  web:
    image: web:1
    ports: ["80"]
    environment: {A: "\${A:-1}"}
    depends_on: [db]
  db:
    image: db:1
    volumes: ["data:/data", "./data:/more:ro"]
    restart: always
    # Text of several lines is read by the YAML library, which config above does without.
    command: |
      db --all
volumes: {data: }
`,
  '.env': 'A=1\nB="two"\n',
};

/** The commands, in turn. */
export const REHEARSALS: readonly (readonly string[])[] = [
  ['config', '-q'],
  ['config'],
  ['config', '--format', 'json'],
  ...[
    ['up', '-d'],
    ['up', '-d'],
    ['ps'],
    ['logs'],
    ['run', '--rm', '-T', '--no-interactive', 'web', 'true'],
    ['stop'],
    ['start'],
    ['down'],
  ].map((words) => ['-f', 'stack.yaml', '--progress', 'quiet', ...words]),
];
