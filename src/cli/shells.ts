/**
 * Completion scripts. All call `weir __complete -- WORDS…`, which prints one candidate per line; `:files` stands for the shell's
 * own completion of paths.
 */
export const scripts = {
  bash: `# weir completion for bash
_weir() {
  # bash splits words at = and : too, so that the words are cut from the line itself
  local before="\${COMP_LINE:0:COMP_POINT}" cur="\${COMP_WORDS[COMP_CWORD]}" line file
  local -a words
  read -r -a words <<< "$before"
  [[ "$before" == *[[:space:]] ]] && words+=("")
  [[ "$cur" == [=:] ]] && cur=""
  # what bash keeps of the last word: it replaces only the part after = or :
  local last="\${words[-1]}"
  local kept="\${last%"$cur"}"
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ "$line" == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$cur")
    else
      COMPREPLY+=("\${line#"$kept"}")
    fi
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _weir weir
`,
  zsh: `#compdef weir
# weir completion for zsh
_weir() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${candidates[(I):files]} )); then
    _files
    candidates=("\${(@)candidates:#:files}")
  fi
  candidates=("\${(@)candidates:#}")
  (( \${#candidates} )) && compadd -- "\${(@)candidates}"
}
if [ "$funcstack[1]" = "_weir" ]; then
  _weir "$@"
else
  compdef _weir weir
fi
`,
  fish: `# weir completion for fish
function __weir_complete
  set -l words (commandline -opc) (commandline -ct)
  for candidate in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test "$candidate" = :files
      __fish_complete_path (commandline -ct)
    else
      echo $candidate
    end
  end
end
complete -c weir -f -a '(__weir_complete)'
`,
} as const;
