import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import ora from "ora";
import { doctor } from "./doctor.js";
import * as inspect from "./inspect.js";
import type { PlaceOptions } from "./place.js";
import type { Terminal } from "./terminal.js";
import { told } from "./trouble.js";

interface CommonOptions extends PlaceOptions {
  json?: boolean;
}

/** Runs one command line. Resolves with the exit code: 1 when something is wrong, 2 when it was not understood. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  let code = 0;
  const program = build(terminal, async (what, options, work) => {
    code = await guarded(what, options, work, terminal);
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : 2;
  }
}

type Work = (terminal: Terminal) => Promise<number>;
type Guard = (what: string, options: CommonOptions, work: Work) => Promise<void>;

function build(terminal: Terminal, guard: Guard): Command {
  const program = new Command("tabloom")
    .description("Looks at a Redis server, and into what tabloom keeps there.")
    .version(__VERSION__)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    });
  common(program.command("doctor"))
    .description("Checks whether tabloom can rely on a server, and says what is at risk and what to do.")
    .action((options: CommonOptions) => guard("asking the server", options, (to) => doctor(options, to)));
  addInspect(program, guard);
  return program;
}

function addInspect(program: Command, guard: Guard): void {
  const parent = common(program.command("inspect"))
    .description("Lists every instance with its figures.")
    .addOption(new Option("--follow", "print commands and events as they happen, until interrupted"))
    .action((options: CommonOptions & { follow?: boolean }) => {
      const { follow } = options;
      return guard(follow ? "" : "looking", options, (to) => (follow ? inspect.follow : inspect.list)(options, to));
    });
  const look = <Options extends CommonOptions>(
    command: Command,
    work: (id: string, options: Options, to: Terminal) => Promise<number>,
  ): void => {
    command.action((...given: unknown[]) => {
      const options = command.optsWithGlobals<Options>();
      const id = typeof given[0] === "string" ? given[0] : "";
      return guard("looking", options, (to) => work(id, options, to));
    });
  };
  for (const kind of inspect.KINDS) {
    const command = one(parent.command(`${kind} <id>`)).description(`One ${kind}: its figures, and what it holds.`);
    look<inspect.OneOptions>(command, (id, options, to) => inspect.one(kind, id, options, to));
  }
  const dead = one(parent.command("dead <id>"))
    .description("The dead letters of a queue; puts them back into it, or removes them.")
    .option("--redrive <id>", 'put a message back into the queue; "all": every one')
    .addOption(new Option("--remove <id>", "delete a message for good").conflicts("redrive"));
  look<inspect.DeadOptions>(dead, inspect.dead);
  const schedules = parent.command("schedules").description("Every schedule, with its next run.");
  look<CommonOptions>(schedules, (_, options, to) => inspect.schedules(options, to));
  const locks = parent.command("locks").description("Every lock that is held, by whom, and until when.");
  look<CommonOptions>(locks, (_, options, to) => inspect.locks(options, to));
}

/** Options of all commands; subcommands take those of their parent. */
function common(command: Command): Command {
  return command
    .option("--redis <url>", "where the server is (default: REDIS_URL, else redis://127.0.0.1:6379)")
    .option("--prefix <prefix>", "in front of every key", "tabloom")
    .option("--json", "print JSON, for programs");
}

/** Names one instance. */
function one(command: Command): Command {
  return command
    .option("--tenant <id>", "its tenant", "default")
    .option("--scope <prefix>", "the `prefix` that its handle was made with", "")
    .option("--limit <count>", "show at most so many", count, 20);
}

function count(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0 && number <= 10_000) return number;
  throw new InvalidArgumentError("It is a whole number from 1 to 10000.");
}

/** Shows that something is under way, and tells what went wrong in one line. */
async function guarded(what: string, options: CommonOptions, work: Work, terminal: Terminal): Promise<number> {
  const silent = options.json === true || !terminal.interactive || what === "";
  const spinner = ora({ text: what, isSilent: silent }).start();
  // Gone before the first line of the result: both go to the same screen.
  const out = (line: string): void => {
    spinner.stop();
    terminal.out(line);
  };
  try {
    return await work({ ...terminal, out });
  } catch (error) {
    spinner.stop();
    const { code, message } = told(error);
    if (options.json) terminal.out(JSON.stringify({ ok: false, error: { code, message } }, null, 2));
    else terminal.err(`tabloom: ${message}`);
    return 1;
  } finally {
    spinner.stop();
  }
}
