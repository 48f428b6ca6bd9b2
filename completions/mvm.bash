# SPDX-License-Identifier: Apache-2.0
# Completion of mvm for bash, 3.2 and later. It asks mvm, which knows its
# commands, flags and names; see src/cli/complete.

_mvm() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() count=0 word bare
  # Bash breaks words at : = and @; mvm does not.
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    bare=${rest#"${rest%%[![:space:]]*}"}
    [[ $bare == "$word"* ]] || word=$bare
    if [[ $count -gt 0 && $bare == "$rest" ]]; then
      words[count - 1]+=$word
    else
      words[count]=$word
      count=$((count + 1))
    fi
    rest=${bare#"$word"}
  done
  local index
  for ((index = 0; index < count; index++)); do
    words[index]=${words[index]//[\'\"\\]/}
  done
  local current=${words[count - 1]} breaks='=' prefix value line
  case $COMP_WORDBREAKS in *:*) breaks+=':' ;; esac
  case $COMP_WORDBREAKS in *@*) breaks+='@' ;; esac
  # What is before the last break is in the line already, and stays there.
  prefix=${current%"${current##*[$breaks]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*)
        case $line in *nospace*) compopt -o nospace 2>/dev/null ;; esac
        case $line in
          :files*) value=-f ;;
          :directories*) value=-d ;;
          *) continue ;;
        esac
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do
          COMPREPLY[${#COMPREPLY[@]}]=$word
        done < <(compgen "$value" -- "${current#"$prefix"}")
        ;;
      *)
        value=${line%%$'\t'*}
        COMPREPLY[${#COMPREPLY[@]}]=${value#"$prefix"}
        ;;
    esac
  done < <("${words[0]/#\~/$HOME}" __complete "$count" "${words[@]}" 2>/dev/null)
}

complete -F _mvm mvm
