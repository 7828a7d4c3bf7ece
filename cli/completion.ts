import { MoesaicError } from "../proto/errors.js";
import { defineCommand } from "./command.js";

// Each asks the program itself for what may follow the words so far: yargs answers `--get-yargs-completions`, without the
// descriptions that it adds for zsh.
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_moesaic() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(SHELL=/bin/sh moesaic --get-yargs-completions "\${COMP_WORDS[@]}")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _moesaic moesaic
`,
  zsh: `#compdef moesaic
_moesaic() {
  local -a found
  found=("\${(@f)$(SHELL=/bin/sh moesaic --get-yargs-completions "\${words[@]}")}")
  if [[ -n "\${found[*]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _moesaic moesaic
`,
  fish: `complete -c moesaic -a '(SHELL=/bin/sh moesaic --get-yargs-completions (commandline -opc) (commandline -ct))'
`,
};

export const completionCommand = defineCommand({
  usage: "completion <shell>",
  describe: "print a script that completes commands, options and their values in bash, zsh or fish",
  positionals: { shell: { describe: `one of ${Object.keys(SCRIPTS).join(", ")}`, choices: Object.keys(SCRIPTS) } },
  options: {},
  examples: [
    ["completion bash >> ~/.bashrc", "for every bash from now on"],
    ["completion zsh >> ~/.zshrc", "for zsh, behind compinit"],
    ["completion fish > ~/.config/fish/completions/moesaic.fish", "for fish"],
  ],
  parse: (_, { shell }) => {
    const script = SCRIPTS[String(shell)];
    if (script !== undefined) return script;
    throw new MoesaicError(
      "invalid_argument",
      `expected one of ${Object.keys(SCRIPTS).join(", ")}, got ${String(shell)}`,
    );
  },
  async run(script, { out }) {
    await out.write(script);
    return 0;
  },
});
