/** Every command and flag of the command line, as data: parsing, suggestions and `--help` read the same table. */

export interface Flag {
  /** How its value is called in help; undefined = a switch. */
  readonly value?: string;
  readonly repeatable?: boolean;
  readonly help: string;
}

export interface Command {
  readonly usage: string;
  readonly summary: string;
  readonly flags: readonly string[];
  /** The most words that may follow the command. */
  readonly words: number;
  readonly examples: readonly (readonly [line: string, why: string])[];
  readonly notes?: readonly string[];
}

export const flags: Readonly<Record<string, Flag>> = {
  source: { value: 'URI', help: 'where from: postgres://user@host/db, a connection of tapline.yaml, or an executable' },
  dest: { value: 'URI', help: 'where to: s3://bucket/prefix, ./dir, duckdb:file.db, postgres://user@host/db, a connection, or an executable' },
  'source-config': { value: 'FILE', help: 'JSON configuration of the source; for ours it fills in what the URI leaves open' },
  'dest-config': { value: 'FILE', help: 'JSON configuration of the destination' },
  streams: { value: 'LIST', help: 'which streams: public.orders,audit.*,!public.tmp_* (default: all)' },
  mode: { value: 'STREAM=MODE', repeatable: true, help: 'full_refresh[/overwrite|/append], incremental:CURSOR[/append|/append_dedup], cdc[/append|/merge]' },
  sync: { value: 'NAME', help: 'the name its state is kept under (default: made of both ends)' },
  'state-dir': { value: 'DIR', help: 'where state is kept (default: .tapline beside tapline.yaml, or here)' },
  config: { value: 'FILE', help: 'another tapline.yaml' },
  'full-refresh': { help: 'forget the position of the selected streams and copy them anew' },
  'from-destination': { help: 'take the position that the destination holds' },
  continuous: { help: 'keep running until it is stopped' },
  flush: { value: 'TIME', help: 'commit at least so often: 500ms, 1s, 2m' },
  retries: { value: 'N', help: 'how often to try again after a failure that may pass (default: 5)' },
  transport: { value: 'json|batch|auto', help: 'how records travel (default: auto)' },
  json: { help: 'JSON lines on stdout, for scripts' },
  verbose: { help: 'tell what the connectors log, too' },
  force: { help: 'end the session that reads the slot' },
  stream: { value: 'STREAM', repeatable: true, help: 'only this stream: public.orders' },
  help: { help: 'this text' },
  version: { help: 'the version' },
};

const ends = ['source', 'dest', 'source-config', 'dest-config'];
const places = ['sync', 'state-dir', 'config'];

export const commands: Readonly<Record<string, Command>> = {
  sync: {
    usage: 'sync [NAME] --source URI --dest URI [flags]',
    summary: 'copy what is new; go on where the last run ended',
    words: 1,
    flags: [...ends, 'streams', 'mode', ...places, 'full-refresh', 'from-destination', 'continuous', 'flush', 'retries', 'transport', 'json', 'verbose'],
    examples: [
      ['runner sync --source postgres://app@localhost/shop --dest ./lake', 'all tables of a database into a folder'],
      ['runner sync --source postgres://app@localhost/shop --dest s3://lake/raw --streams public.orders --mode public.orders=incremental:updated_at', 'only new and changed rows of one table, into a bucket'],
      ['runner sync --source postgres://app@localhost/shop --dest duckdb:warehouse.db', 'into tables of a DuckDB file'],
      ["runner sync --source 'postgres://app@localhost/shop?replication=cdc' --dest postgres://etl@dwh/analytics --continuous", 'every change, merged into the tables of another server, as it happens'],
      ['runner sync shop-to-lake', 'a sync of tapline.yaml'],
      ['runner sync --source ./my-source --source-config config.json --dest ./lake', 'any executable that speaks the Airbyte protocol'],
    ],
    notes: [
      'Passwords: leave them out of the command line. PGPASSWORD, ~/.pgpass and the AWS variables and profiles are read.',
      'Run it again after any failure: it continues from the last commit.',
    ],
  },
  verify: {
    usage: 'verify [NAME] --source URI --dest URI [flags]',
    summary: 'compare source and destination, and name the keys that differ',
    words: 1,
    flags: [...ends, 'streams', 'mode', ...places, 'json', 'verbose'],
    examples: [
      ['runner verify --source postgres://app@localhost/shop --dest ./lake', 'what a sync with the same words has written'],
      ['runner verify shop-to-lake --streams public.orders', 'one table of a sync of tapline.yaml'],
    ],
    notes: ['Exit 0: all is equal; 1: something differs. Nothing is changed, and a sync may run meanwhile.'],
  },
  check: {
    usage: 'check [NAME] [--source URI] [--dest URI]',
    summary: 'can both ends be reached, and do the rights suffice?',
    words: 1,
    flags: [...ends, ...places, 'json', 'verbose'],
    examples: [
      ['runner check --source postgres://app@localhost/shop --dest s3://lake/raw', 'both ends'],
      ['runner check shop-to-lake', 'those of a sync of tapline.yaml'],
    ],
  },
  discover: {
    usage: 'discover [NAME] --source URI',
    summary: 'list the streams of a source, their columns, keys and modes',
    words: 1,
    flags: [...ends, 'streams', ...places, 'json', 'verbose'],
    examples: [
      ['runner discover --source postgres://app@localhost/shop', 'everything that its user may read'],
      ['runner discover --source postgres://app@localhost/shop --streams "public.*" --json', 'the catalog as JSON'],
    ],
  },
  spec: {
    usage: 'spec [CONNECTOR]',
    summary: "print a connector's specification (without a name: list the connectors)",
    words: 1,
    flags: ['source', 'dest', 'json'],
    examples: [
      ['runner spec postgres', 'the options of source-postgres, as JSON schema'],
      ['runner spec ./my-source', 'those of an executable'],
    ],
  },
  state: {
    usage: 'state list | show NAME | set NAME FILE | reset NAME',
    summary: 'look at positions, or change them',
    words: 3,
    flags: ['stream', 'source', 'source-config', 'state-dir', 'config', 'json'],
    examples: [
      ['runner state list', 'the syncs that have a state'],
      ['runner state show shop-to-lake --stream public.orders', 'the position of one stream'],
      ['runner state show shop-to-lake --source postgres://app@localhost/shop', 'with cdc: how far the position is behind, too'],
      ['runner state reset shop-to-lake --stream public.orders', 'the next run copies this stream anew'],
      ['runner state set shop-to-lake state.json', 'the next run starts from what the file says; `state show --json` writes such a file'],
    ],
  },
  slot: {
    usage: 'slot list [NAME] | drop SLOT [NAME]',
    summary: 'look at the replication slots of a source, or drop one',
    words: 3,
    flags: ['source', 'source-config', 'force', 'state-dir', 'config', 'json', 'verbose'],
    examples: [
      ['runner slot list --source postgres://app@localhost/shop', 'which slots there are, and how much log they keep'],
      ['runner slot drop tapline_shop_to_lake_1a2b3c4d shop-to-lake', 'after the last run of a sync; NAME is a sync of tapline.yaml'],
    ],
    notes: ['A slot keeps the log of its server from its position on: one that nobody reads any more fills the disk.', 'A sync whose slot was dropped must copy everything again (--full-refresh).'],
  },
  init: {
    usage: 'init [--source URI] [--dest URI]',
    summary: 'write a commented tapline.yaml to start from',
    words: 0,
    flags: ['source', 'dest', 'config', 'json'],
    examples: [['runner init --source postgres://app@localhost/shop --dest s3://lake/raw', 'filled in; secrets become ${ENV}']],
  },
  help: {
    usage: 'help [COMMAND]',
    summary: 'explain a command',
    words: 1,
    flags: [],
    examples: [],
  },
};
