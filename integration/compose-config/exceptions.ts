/** How the two programs part: the reference accepts and we refuse, the other way round, or both print and it differs. */
export type Difference = 'refused' | 'accepted' | 'printed';

/** Differences that are meant: the reference does what its own documentation denies, or what cannot be read again. */
export interface Exception {
  /** Of names of cases. */
  readonly cases: RegExp;
  readonly difference: Difference;
  readonly reason: string;
}

/** The rows of one kind; the first that fits a case is its reason. */
const rows = (difference: Difference, table: readonly (readonly [RegExp, string])[]): Exception[] =>
  table.map(([cases, reason]) => ({ cases, difference, reason }));

export const EXCEPTIONS: readonly Exception[] = [
  ...rows('accepted', [
    [/^template .*:\?(?:x|never)\}\}$/, 'an alternative that is not taken is not evaluated, as in a shell'],
    [/^(?:-f|---|extends|extends file) tmpfs |^ext vol merge$/, 'a tmpfs on the same folder replaces the earlier one'],
    [/ (?:security_opt|device_cgroup_rules) /, 'the same entry from two files is no mistake'],
    [/ (?:provider|environment) .*(?:!reset null|!override null)$/, 'a key without a value is no value'],
    [/ mem_limit: -1$/, 'as text as well as as number'],
    [/ memswap_limit: -1$/, 'documented as unlimited'],
    [/ blkio_config\.weight: 10$/, 'the schema allows text'],
    [/"1777"/, 'the schema allows text'],
    [/^cpu_rt_/, 'the specification allows durations'],
    [/depends_on: \{nope: .*required: false|^deps undef opt$/, 'documented: absence only warns'],
    [/^ext from -f earlier$|^ext twice two files$|^extends over$/, 'a service of an earlier file may be extended'],
    [/^inc(?:lude)? (?:clash|override)$/, 'later versions let the including file override'],
    [/^multi doc empty$/, 'an empty document says nothing'],
    [/^(?:env|labels) map types$|^yaml dates$/, 'a date is a text'],
    [/^yaml yamldir$/, 'YAML 1.2 is what is read'],
    [/^yaml numname$|^boolkeys$/, 'later versions make texts of keys'],
    [/^casts2$/, 'a boolean may come out of a variable everywhere'],
    [/^merge num$/, 'a limit that deploy does not give does not differ'],
    [/^build: .*no_cache_filter/, 'later versions know it'],
    [/^pid: null$/, 'docker compose ends with a stack trace'],
    [/^secrets: .*mode: "0o440"/, 'octal as YAML 1.2 writes it'],
    [/^ports: \[(?:1e3|080)\]$/, 'a whole number in any form'],
    [/^corner explicit doc end$/, 'an empty document says nothing'],
    [/^corner tags$/, 'a tag of YAML 1.1 takes the words of YAML 1.1'],
    [/^unfinished .* without (?:its dependency|content)$/, 'asked for without checks, a list needs none'],
    [/^variables of a long port$/, 'later versions list them, too'],
    [/^x- names of networks$/, 'a name of a network as good as any: docker compose ends in a message of its inside'],
    [/^include env (?:config|in env_file)$/, 'what an include is given holds in all of it, in later versions too'],
    [/^base null networks$/, 'a key without a value is completed by a later file, in later versions too'],
  ]),
  ...rows('refused', [
    [/"=x"$|^envfile bad5$/, 'a variable without a name is a mistake'],
    [/"KEY VALUE"$/, 'accepted only in a last line without line break'],
    [/container_name a \+ !reset null/, 'the file that gives the value is wrong by itself'],
    [/ (?:mem_limit: 1e3|cpus: 1_000)$/, 'no number that the documentation knows'],
    [/^restart: | restart: |^restart bad$/, 'the engine would refuse it when containers are made'],
    [/^volumes: \["a:"\]$|^vols bad/, 'a mount that cannot be meant'],
    [/^devices: \[":\/b"\]$|^devices: \[""\]$/, 'a device without a path'],
    [/^ports: .*(?:target: (?:0|70000)|tcp\/udp)|^expose: /, 'the engine would refuse it when containers are made'],
    [
      /^volumes: .*(?:source: "",|type: tmpfs, source)/,
      'the engine would refuse it; an empty path is a variable unset',
    ],
    [/^blkio_config: /, 'a limit of no device, or of no size'],
    [/^extra_hosts: \["a:"\]$|^extra host with an empty address$/, 'a name without an address'],
    [/^ulimits: \{FOO/, 'no limit has such a name'],
    [/^extends: .*foo: 1/, 'an unknown key, here as elsewhere'],
    [/^healthcheck: .*\[CMD-SHELL\]/, 'a shell without a command'],
  ]),
  ...rows('printed', [
    [/^(?:env_file|label_file) "(?:A|FOO|export|export A|A )"$/, 'a bare last line without line break is a bare key'],
    [/^(?:env_file|label_file) "A=.*y"$/, 'what follows a value is no variable without a name'],
    [/ group_add |^group_add: /, 'a group is added once'],
    [/^extends gpus all/, 'the short form merges like the long one'],
    [/!override null$/, 'null is not the text "null"'],
    [/ mem_limit: 1e3$|^mem float$|^shm_size: 1.5$/, 'a size is not dropped without a word'],
    [/^volumes: \["a:[by]"\]$/, 'a volume with a name of one letter'],
    [/create_host_path: false|^vols$/, 'printed, or reading again would turn it on'],
    [/^build: .*ssh: |^build7$/, 'written so that it can be read again'],
    [/^top networks: .*options: \{o: p\}|^net2$/, 'options of the address manager are kept'],
    [/^yaml (?:tags|xtop)$/, 'binary and date values stay as they are written'],
    [/^yaml resetenv$|^corner nested extends include/, 'a variable of a list can be reset too'],
    [/no-env-resolution|^no environment resolution$/, 'env files are left alone, as the flag says'],
    [/--hash a --no-interpolate/, 'the hash is of the container that would be made'],
    [/^interp key$|^corner interp in keys/, 'keys are not interpolated, so nothing in them is escaped'],
    [/^monorepo$/, 'local is the driver when none is named: its folder is a path'],
    [/^extra_hosts: \["a: 1/, 'a blank is no part of an address'],
    [/^pull_refresh_after: /, 'it stands in the specification'],
    [/^profiles: \[""\]$/, 'an empty name activates nothing'],
    [/^corner (?:x- everywhere|json)$/, 'what the user adds is kept everywhere, in JSON too'],
    [/^corner variables map$/, 'the name of the project has variables too'],
    [
      /--hash \* --profile|^corner hash with env_file$/,
      'docker hashes an env_file unread, which is not the hash that its own containers get; ours is the one they get',
    ],
    [
      /^build arguments of the caller without environment resolution$/,
      'a bare argument is kept, so that the text loads again to the same model',
    ],
    [/^merge ports$/, 'a port published twice is published once'],
    [/^extra hosts merged across forms$/, 'an address written twice is one, in whatever form'],
    [/^hosts in the order given$/, 'the first address is the one that most programs take'],
    [/^include env in mapping$/, 'a variable without a value is the same in a mapping and a list'],
    [/^environment of x- names$/, 'a variable as good as any: docker compose makes one named #extensions of it'],
    [/^json (?:limits of devices|models)$/, 'written so that it can be read again'],
    [/^extends service without body$/, 'what was extended is done with'],
  ]),
];
