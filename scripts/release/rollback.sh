#!/usr/bin/env bash
# Takes a Rollout of Argo Rollouts back to the version before, with bash and kubectl alone: for the night in which
# Airflow, the ledger or Helm are away. The same decisions as plugins/slipway/hooks/rollouts.py; see --help.
set -euo pipefail
# For ranges such as [a-z] in the checks of names, and for comparing times as text.
export LC_ALL=C

# The marks in it are for the reader, not for this shell.
# shellcheck disable=SC2016
IFS= read -r -d '' HELP <<'TEXT' || true
Usage: rollback.sh --namespace NS --rollout NAME [options]

Takes a Rollout back to the version before. It decides by what the Rollout says of itself:

  before the promotion   the newest version is not the stable one: its traffic is taken away (abort), and the
                         template of the stable version is put back
  after the promotion    the newest version is the stable one: the template of the version before it is put back
                         and walked through all pauses, without holds, until it has all the traffic
  first install          there is no other version: held at 0 pods; when this one serves users, only with --to none
  nothing to do          the last change was a way back already; said, exit code 0

  --namespace NS     where the Rollout is
  --rollout NAME     its name
  --kubeconfig FILE  which cluster; default: $KUBECONFIG, as for kubectl
  --context NAME     context of the kubeconfig; default: its current one
  --to HASH          go to this version: the value of the label rollouts-pod-template-hash of its pods.
                     --dry-run lists the versions that are there. After a first install: none, for 0 pods
  --dry-run          look, decide, let the API server check the patches, change nothing
  --yes              do not ask; without a terminal this has to be given
  --timeout SECONDS  for all of it; default 300
  --help             this text

Times in brackets are seconds since the command. It needs to get and patch the Rollout and its status, and to list
ReplicaSets and pods. It touches neither Helm, nor the database, nor other workloads, and says what to run later.

Exit codes:
  0  done, or nothing to do
  1  not seen to be done within the timeout; run it again, it goes on where it was
  2  refused, nothing was touched: an option, a value, a missing program, or nobody said yes
  3  the cluster does not answer, or does not let you
  4  nothing to act on: no such namespace, Rollout or version
  5  left alone: a person has to choose with --to, or somebody else has acted on the Rollout
TEXT

readonly LABEL=rollouts-pod-template-hash KIND=rollouts.argoproj.io
readonly EPHEMERAL='rollout\.argoproj\.io/ephemeral-metadata'
readonly GOING_BACK=slipway.dev/going-back NUDGE=slipway.dev/nudged-at
readonly REQUEST_S=5     # one request to the API server
readonly LOST_US=2000000 # a patch without effect for so long was lost
readonly ABORT_S=10      # then the old template is put back all the same, which takes the traffic, too
readonly FRESH_S=10      # for the controller to see the newest template

die() { # CODE WHAT [DO]
  printf '%s\n' "$2" >&2
  (($# < 3)) || printf '  do     %s\n' "$3" >&2
  exit "$1"
}

refuse() { die 2 "$@"; }

((BASH_VERSINFO[0] >= 5)) || refuse "bash $BASH_VERSION is too old" "run it with bash 5 or newer"

us() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }
readonly STARTED_US="${EPOCHREALTIME/[.,]/}"

say() { # WHAT
  local us=$(($(us) - STARTED_US))
  printf '[%3d.%02d s] %s\n' $((us / 1000000)) $((us % 1000000 / 10000)) "$1"
}

# `read` with a timeout: no program is needed to wait.
nap() { read -rt 0.1 <> <(:) || true; }

namespace="" rollout="" kubeconfig="" context="" to="" timeout_s=300 dry_run=false yes=false
while (($#)); do
  case "$1" in
    --namespace | --rollout | --kubeconfig | --context | --to | --timeout)
      (($# > 1)) || refuse "$1: its value is missing" "see --help"
      case "$1" in
        --namespace) namespace="$2" ;;
        --rollout) rollout="$2" ;;
        --kubeconfig) kubeconfig="$2" ;;
        --context) context="$2" ;;
        --to) to="$2" ;;
        --timeout) timeout_s="$2" ;;
      esac
      shift 2
      ;;
    --dry-run) dry_run=true && shift ;;
    --yes) yes=true && shift ;;
    --help | -h) printf '%s' "$HELP" && exit 0 ;;
    *) refuse "$(printf '%q: unknown option' "$1")" "see --help" ;;
  esac
done

[[ -n "$namespace" ]] || refuse "--namespace is missing" "name it, such as --namespace hive-production"
[[ -n "$rollout" ]] || refuse "--rollout is missing" "name it, such as --rollout hive-platform-backend"
[[ "$namespace" =~ ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$ ]] ||
  refuse "$(printf -- '--namespace: %q is no name of a namespace' "$namespace")" "use a-z, 0-9 and -"
[[ "$rollout" =~ ^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$ ]] ||
  refuse "$(printf -- '--rollout: %q is no name of a Rollout' "$rollout")" "use a-z, 0-9, - and ."
[[ -z "$to" || "$to" =~ ^[a-z0-9]{1,63}$ ]] ||
  refuse "$(printf -- '--to: %q is no pod-template hash' "$to")" "take one that --dry-run lists"
[[ -z "$context" || "$context" =~ ^[A-Za-z0-9][A-Za-z0-9_.:/@+-]*$ ]] ||
  refuse "$(printf -- '--context: %q is no name of a context' "$context")" "kubectl config get-contexts --output name"
[[ "$timeout_s" =~ ^[1-9][0-9]{0,4}$ ]] ||
  refuse "$(printf -- '--timeout: %q is no number of seconds' "$timeout_s")" "write for example --timeout 300"
[[ -z "$kubeconfig" || (-f "$kubeconfig" && -r "$kubeconfig") ]] ||
  refuse "$(printf -- '--kubeconfig: %q is no file that can be read' "$kubeconfig")" "name one"
command -v kubectl >/dev/null || refuse "kubectl is not there" "install it, or put it on PATH"
$yes || $dry_run || [[ -t 0 ]] || refuse "there is no terminal to ask on" "give --yes, or --dry-run to look first"

readonly PLACE="$namespace/$rollout"
readonly DEADLINE_US=$((STARTED_US + timeout_s * 1000000))
cluster=()
[[ -z "$kubeconfig" ]] || cluster+=("--kubeconfig=$kubeconfig")
[[ -z "$context" ]] || cluster+=("--context=$context")

# ---- kubectl --------------------------------------------------------------------------------------------------------

out="" err=""
call() { # ARGUMENT...: fills out and err, returns kubectl's exit code
  local found=()
  # Warnings of kubectl stay apart from what it answers, without a file in between.
  mapfile -d '' -t found < <(
    exec 3>&1
    err="$({
      answer="$(kubectl "${cluster[@]}" "--namespace=$namespace" "--request-timeout=${REQUEST_S}s" "$@" 3>&-)" &&
        code=0 || code=$?
      printf '%s\0%s\0' "$code" "$answer" >&3
    } 2>&1)"
    printf '%s\0' "$err"
  )
  out="${found[1]-}" err="${found[2]-}"
  return "${found[0]:-1}"
}

explain() { # WHAT: ends with the sentence that fits what kubectl said last
  local said="${err##*$'\n'}"
  case "$err" in
    *'context'*'does not exist'* | *'no context exists'*)
      refuse "the kubeconfig has no context ${context:-that is current}" "kubectl config get-contexts --output name" ;;
    *'(NotFound)'*) die 4 "$1: not found ($said)" ;;
    *'(Forbidden)'* | *forbidden* | *Unauthorized* | *'must be logged in'*)
      die 3 "$1: the cluster does not let you ($said)" "kubectl auth whoami, or use another --context" ;;
    *) die 3 "$1: the cluster does not answer ($said)" "check --kubeconfig, --context and the way to the cluster" ;;
  esac
}

# One look at the Rollout. `observedGeneration` is a string, and the phase holds only when it is the generation.
readonly FIELDS=(
  uid .metadata.uid resource_version .metadata.resourceVersion generation .metadata.generation
  observed .status.observedGeneration phase .status.phase step .status.currentStepIndex
  current .status.currentPodHash stable .status.stableRS weight .status.canary.weights.canary.weight
  aborted .status.abort held .spec.paused waits '.status.pauseConditions[*].reason' replicas .spec.replicas
  available .status.availableReplicas steps '.spec.strategy.canary.steps[*]'
  blue_green .spec.strategy.blueGreen.activeService referred .spec.workloadRef.name
  going_back '.metadata.annotations.slipway\.dev/going-back'
  helm_release '.metadata.annotations.meta\.helm\.sh/release-name'
)
declare -A is
look() {
  local path="" i values=()
  for ((i = 1; i < ${#FIELDS[@]}; i += 2)); do
    if [[ "${FIELDS[i - 1]}" == steps ]]; then
      path+="{range ${FIELDS[i]}}x{end}{\"\\n\"}"
    else
      path+="{${FIELDS[i]}}{\"\\n\"}"
    fi
  done
  call get "$KIND" "$rollout" --output "jsonpath=$path{.status.message}" || return 1
  mapfile -t values <<<"$out"
  for ((i = 0; i < ${#FIELDS[@]} / 2; i++)); do is["${FIELDS[2 * i]}"]="${values[i]-}"; done
  is[message]="${values[i]-}" is[steps]="${#is[steps]}"
}

fresh() { [[ -n "${is[observed]}" && "${is[observed]}" == "${is[generation]}" ]]; }
settled_on() { # HASH
  fresh && [[ "${is[phase]}" == Healthy && "${is[current]}" == "$1" && "${is[stable]}" == "$1" ]]
}
without_traffic() { [[ -z "${is[weight]}" || "${is[weight]}" == 0 ]]; }
waits() { fresh && [[ "${is[phase]}" == Paused && -n "${is[waits]}" && "${is[aborted]}" != true ]]; }
describe() {
  local text="${is[phase]:-no phase yet}, step ${is[step]:-0} of ${is[steps]}"
  [[ -z "${is[weight]}" ]] || text+=", canary weight ${is[weight]} %"
  text+=", newest ${is[current]:--}, stable ${is[stable]:--}, ${is[available]:-0} of ${is[replicas]:-1} pods available"
  [[ "${is[aborted]}" != true ]] || text+=", aborted"
  [[ "${is[held]}" != true ]] || text+=", spec.paused"
  fresh || text+=", status is old"
  printf '%s' "$text${is[message]:+: ${is[message]}}"
}

# Wait until a condition holds. Argo Rollouts 1.9 can lose a patch, and then sleeps until the next event: a harmless
# annotation is one.
await() { # SECONDS CONDITION...
  local until=$(($(us) + $1 * 1000000)) nudge=$(($(us) + LOST_US)) now
  shift
  ((until < DEADLINE_US)) || until=$DEADLINE_US
  while true; do
    if look && "$@"; then return 0; fi
    now=$(us)
    ((now < until)) || return 1
    if ((now > nudge)) && ! { fresh && [[ "${is[phase]}" == Progressing ]]; }; then
      nudge
      nudge=$((now + LOST_US))
    fi
    nap
  done
}

nudge() {
  ! $dry_run || return 0
  call patch "$KIND" "$rollout" --type=merge \
    --patch "{\"metadata\":{\"annotations\":{\"$NUDGE\":\"$EPOCHREALTIME\"}}}" || true
}

unfinished() { # WHAT
  die 1 "$PLACE: $1 (found: $(describe))" \
    "run this again; kubectl --namespace argo-rollouts logs deployment/argo-rollouts --tail 50"
}

fenced() { die 5 "$PLACE: somebody else has acted on it; left alone (found: $(describe))" "look, then run this again"; }

left_s() {
  local left=$(((DEADLINE_US - $(us)) / 1000000))
  printf '%d' $((left > 0 ? left : 0))
}

# ---- the versions that are there ------------------------------------------------------------------------------------

declare -A name revision created images
versions() {
  local hash set number at owners image
  local at_each="{.metadata.labels.$LABEL}|{.metadata.name}|{.metadata.annotations.rollout\\.argoproj\\.io/revision}"
  at_each+='|{.metadata.creationTimestamp}|{.metadata.ownerReferences[*].uid}|{.spec.template.spec.containers[*].image}'
  call get replicasets --output "jsonpath={range .items[*]}$at_each{\"\\n\"}{end}" ||
    explain "list the ReplicaSets in $namespace"
  while IFS='|' read -r hash set number at owners image; do
    [[ -n "$hash" && "$number" =~ ^[0-9]+$ && " $owners " == *" ${is[uid]} "* ]] || continue
    name["$hash"]=$set revision["$hash"]=$number created["$hash"]=$at images["$hash"]=$image
  done <<<"$out"
}

newest_but() { # HASH: prints the version with the highest revision beside this one
  local hash best="" number=0
  for hash in "${!revision[@]}"; do
    if [[ "$hash" != "$1" ]] && ((revision["$hash"] > number)); then
      best="$hash" number="${revision[$hash]}"
    fi
  done
  printf '%s' "$best"
}

older() { # HASH THAN: by the time of its ReplicaSet; a template that comes back keeps its ReplicaSet
  [[ -n "${created[$1]-}" && "${created[$1]}" < "${created[$2]-}" ]]
}

list_versions() {
  local hash note
  for hash in "${!revision[@]}"; do
    note=""
    [[ "$hash" != "${is[stable]}" ]] || note=" (stable)"
    [[ "$hash" != "${is[current]}" || "$hash" == "${is[stable]}" ]] || note=" (newest)"
    printf '  version %s, revision %s, since %s%s: %s\n' \
      "$hash" "${revision[$hash]}" "${created[$hash]}" "$note" "${images[$hash]}"
  done
}

# ---- acts -----------------------------------------------------------------------------------------------------------

patch() { # BODY ARGUMENT...
  local body="$1" trial=()
  shift
  ! $dry_run || trial=(--dry-run=server)
  call patch "$KIND" "$rollout" "${trial[@]}" "$@" --patch-file=/dev/stdin <<<"$body"
}

# A refusal is final; a conflict, or a silent API server, is tried again until the time is over.
refused() { [[ "$err" == *'(Forbidden)'* || "$err" == *Unauthorized* ]]; }

gone_back() { [[ "${is[current]}" != "$1" ]] || { [[ "${is[aborted]}" == true ]] && without_traffic; }; }

abort_canary() { # HASH
  local until=$(($(us) + ABORT_S * 1000000))
  # The test keeps it from another version that somebody has shipped in this moment.
  local body="[{\"op\":\"test\",\"path\":\"/status/currentPodHash\",\"value\":\"$1\"},
    {\"op\":\"add\",\"path\":\"/status/promoteFull\",\"value\":false},
    {\"op\":\"add\",\"path\":\"/status/abort\",\"value\":true}]"
  while true; do
    if patch "$body" --subresource=status --type=json; then
      ! $dry_run || return 0
      if await 2 gone_back "$1"; then
        [[ "${is[current]}" == "$1" ]] || fenced
        return 0
      fi
      nudge
    else
      ! refused || explain "abort $PLACE"
      ! $dry_run || explain "check the abort of $PLACE"
    fi
    if look && [[ "${is[current]}" != "$1" ]]; then fenced; fi
    (($(us) < until && $(us) < DEADLINE_US)) || return 1
    nap
  done
}

without() { # JSON: operations that take out what pods carry for a role alone (canaryMetadata, stableMetadata)
  local part key rest
  for part in labels annotations; do
    [[ "$1" =~ \"$part\":\{([^\}]*)\} ]] || continue
    rest="${BASH_REMATCH[1]}"
    while [[ "$rest" =~ ^,?\"([^\"]+)\":\"[^\"]*\"(.*)$ ]]; do
      key="${BASH_REMATCH[1]//\~/\~0}" rest="${BASH_REMATCH[2]}"
      printf ',{"op":"remove","path":"/spec/template/metadata/%s/%s"}' "$part" "${key//\//\~1}"
    done
  done
}

put_back() { # HASH: as `kubectl argo rollouts undo` does
  local from="${is[current]}" stable="${is[stable]}" template more=""
  # Printed as JSON by kubectl, and put into a patch as it is: nothing here has to understand it. But what the template
  # carries for a role would make it another version.
  call get replicasets "${name[$1]}" --output "jsonpath={.spec.template}{\"\\n\"}{.metadata.annotations.$EPHEMERAL}" ||
    explain "read the template of version $1"
  template="${out%%$'\n'*}"
  more="$(without "${out#"$template"}")"
  [[ "$template" == '{'*'}' ]] || die 1 "$PLACE: kubectl printed no template of version $1" "update kubectl"
  # Held by hand, it would never get healthy.
  [[ "${is[held]}" != true ]] || more+=',{"op":"add","path":"/spec/paused","value":false}'
  [[ "$1" == "$stable" ]] ||
    more+=",{\"op\":\"add\",\"path\":\"/metadata/annotations/${GOING_BACK/\//\~1}\",\"value\":\"$stable.$1\"}"
  while true; do
    # The spec has to be the one that was looked at; the label belongs to the ReplicaSet.
    if patch "[{\"op\":\"test\",\"path\":\"/metadata/generation\",\"value\":${is[generation]}},
      {\"op\":\"replace\",\"path\":\"/spec/template\",\"value\":$template},
      {\"op\":\"remove\",\"path\":\"/spec/template/metadata/labels/$LABEL\"}$more]" --type=json; then
      ! $dry_run || return 0
      # One that was lost leaves the newest version what it was.
      await 2 seen_as "$1" && return 0
      nudge
    else
      ! refused || explain "put the template of version $1 back into $PLACE"
      ! $dry_run || explain "check the template of version $1 for $PLACE"
    fi
    if look; then
      ! seen_as "$1" || return 0
      [[ "${is[current]}" == "$from" ]] || fenced
    fi
    (($(us) < DEADLINE_US)) || unfinished "the template of version $1 is not back"
    nap
  done
}

seen_as() { fresh && [[ "${is[current]}" == "$1" ]]; }

at_a_pause_or_end() { # HASH
  settled_on "$1" || [[ "${is[aborted]}" == true ]] || { fresh && [[ "${is[current]}" != "$1" ]]; } ||
    { waits && [[ "${is[current]}" == "$1" ]]; }
}

left_the_pause() { # STEP HASH
  [[ "${is[step]:-0}" != "$1" || "${is[stable]}" == "$2" || "${is[current]}" != "$2" || "${is[aborted]}" == true ]]
}

walk() { # HASH: each promotion expects a pause of just this version, and the object as it was read
  local step
  while true; do
    await "$(left_s)" at_a_pause_or_end "$1" || unfinished "version $1 does not get on"
    ! settled_on "$1" || return 0
    [[ "${is[current]}" == "$1" ]] || fenced
    [[ "${is[aborted]}" != true ]] || die 5 "$PLACE: the way to version $1 was aborted (found: $(describe))" \
      "find out by whom: kubectl --namespace $namespace get analysisruns,events"
    step="${is[step]:-0}"
    if patch "{\"metadata\":{\"resourceVersion\":\"${is[resource_version]}\"},\"status\":{\"pauseConditions\":null}}" \
      --subresource=status --type=merge; then
      say "step $step of ${is[steps]}, weight ${is[weight]:-0} %: going on without a hold"
      await 2 left_the_pause "$step" "$1" || nudge
    else
      ! refused || explain "promote $PLACE"
      nap
    fi
  done
}

no_pods() {
  local selector="$LABEL=${is[current]}"
  [[ -n "${is[current]}" ]] || return 0
  call get pods --selector "$selector" --output name && [[ -z "$out" ]]
}
held_at_nothing() { [[ "${is[held]}" == true && "${is[replicas]}" == 0 ]] && no_pods; }

# ---- what to do -----------------------------------------------------------------------------------------------------

plan() { # WHAT: tell, and ask
  say "$1"
  list_versions
  if ! $dry_run && ! $yes; then
    local answer=""
    read -r -p "Go on? [y/N] " answer || true
    [[ "$answer" == [yY] || "$answer" == [yY]es ]] || refuse "not confirmed; nothing was touched"
  fi
}

finish() { # WHAT
  if $dry_run; then
    say "the API server would take it; nothing was changed"
    return 0
  fi
  look || true
  say "$PLACE: $(describe)"
  say "$1"
  printf '\nHelm, the followers and the record of the release are behind now. When slipway is back, run for this\n'
  printf 'application and environment the DAG rollback, or: slipway rollback --direct.\n'
  if [[ -n "${is[helm_release]}" ]]; then
    printf 'Without slipway: helm history %s --namespace %s\n' "${is[helm_release]}" "$namespace"
    printf '                 helm rollback %s REVISION --namespace %s   the newest one that had this version;\n' \
      "${is[helm_release]}" "$namespace"
    printf '                 with Helm 4 also --server-side=false\n'
  fi
  printf 'No helm upgrade before that: it would compare with the version that was taken back.\n'
}

before_promotion() {
  local canary="${is[current]}" stable="${is[stable]}"
  [[ -n "${revision[$stable]-}" ]] ||
    die 4 "$PLACE: no ReplicaSet of the stable version $stable is left" "roll back by Helm instead"
  plan "before the promotion: abort version $canary, and put the template of version $stable back"
  if gone_back "$canary"; then
    say "aborted before: no traffic goes to version $canary"
  elif abort_canary "$canary"; then
    $dry_run || say "aborted: the traffic is on version $stable"
  else
    say "the abort was not seen to work; putting the old template back takes the traffic, too"
  fi
  put_back "$stable"
  if ! $dry_run; then
    say "the template of version $stable is back"
    await "$(left_s)" settled_on "$stable" || unfinished "not healthy on version $stable"
    without_traffic || unfinished "the canary still has traffic"
  fi
  finish "done: healthy on version $stable"
}

after_promotion() { # TARGET
  local bad="${is[stable]}"
  plan "after the promotion: put the template of version $1 back, and walk it to 100 % in place of version $bad"
  put_back "$1"
  if ! $dry_run; then
    say "the template of version $1 is back, as a canary beside version $bad"
    go_on "$1"
  fi
  finish "done: healthy on version $1"
}

go_on() { # HASH
  walk "$1"
  # A mark that stays would tell the next reader of a way that has ended.
  call patch "$KIND" "$rollout" --type=merge --patch "{\"metadata\":{\"annotations\":{\"$GOING_BACK\":null}}}" || true
}

way_back_under_way() { # an older version is a canary beside a newer stable one
  local target="${is[current]}" newer="${is[stable]}"
  if [[ "$to" == "$newer" ]]; then
    before_promotion
  elif [[ "$to" == "$target" || (-z "$to" && "${is[going_back]}" == "$newer.$target") ]]; then
    plan "on the way back from version $newer to version $target: go on to 100 %"
    if ! $dry_run; then
      if [[ "${is[aborted]}" == true ]]; then
        die 5 "$PLACE: the way back to version $target was aborted (found: $(describe))" \
          "rollback.sh --to $newer first, then --to $target"
      fi
      go_on "$target"
    fi
    finish "done: healthy on version $target"
  else
    list_versions
    die 5 "$PLACE: version $target is older than the stable one $newer, so this may be a way back: say where to go" \
      "--to $target gives it all the traffic, --to $newer takes its traffic away"
  fi
}

change_spec() { # SPEC CONDITION COMPLAINT
  while true; do
    if patch "{\"spec\":$1}" --type=merge; then
      ! $dry_run || return 0
      ! await "$(left_s)" "$2" || return 0
    elif refused || $dry_run; then
      explain "hold $PLACE at 0 pods"
    fi
    (($(us) < DEADLINE_US)) || unfinished "$3"
    nap
  done
}

first_install() { # Argo calls the first version stable before it has a pod, so it is known by being the only one
  if held_at_nothing; then
    say "nothing to do: this first install is held at 0 pods already"
    return 0
  fi
  [[ "$to" == none || "${is[available]:-0}" == 0 ]] ||
    die 5 "$PLACE: version ${is[current]} serves users, and there is no other to go back to" \
      "roll back by Helm instead, or --to none to hold it at 0 pods: then nobody is served"
  plan "first install: there is no version to go back to; hold it at 0 pods"
  # Argo Rollouts scales nothing that is paused, so the pods go first; at 0 replicas it starts none.
  no_pods || change_spec '{"paused":false,"replicas":0}' no_pods "its pods are still there"
  change_spec '{"paused":true,"replicas":0}' held_at_nothing "not held at 0 pods"
  finish "done: held at 0 pods; nobody is served, as before the install"
}

promoted() {
  local stable="${is[stable]}" target="$to"
  if [[ "$to" == "$stable" ]]; then
    stay "version $to is the stable one"
    return 0
  elif [[ -z "$to" ]]; then
    target="$(newest_but "$stable")"
    if ! older "$target" "$stable"; then
      stay "the last change was the way back from version $target to version $stable"
      printf '  another version all the same: --to HASH; there are\n' && list_versions
      return 0
    fi
  fi
  after_promotion "$target"
}

stay() { # WHY
  if ! settled_on "${is[stable]}" && ! $dry_run; then
    say "$1; it is not healthy yet, waiting"
    await "$(left_s)" settled_on "${is[stable]}" || unfinished "not healthy on version ${is[stable]}"
  fi
  say "nothing to do: $1"
}

# One request that needs no discovery, so a wrong address is known after $REQUEST_S seconds and not after five of them.
if ! call get --raw "/apis/argoproj.io/v1alpha1/namespaces/$namespace/rollouts/$rollout"; then
  if [[ "$err" == *'(NotFound)'* ]]; then
    call get namespace "$namespace" --output name || [[ "$err" != *'(NotFound)'* ]] ||
      die 4 "the namespace $namespace does not exist" "kubectl get namespaces; is it the right --context?"
    die 4 "there is no Rollout $rollout in $namespace" "kubectl get rollouts --all-namespaces"
  fi
  explain "read Rollout $PLACE"
fi
look || explain "read Rollout $PLACE"
say "$PLACE: $(describe)"
[[ -z "${is[blue_green]}" ]] || die 4 "$PLACE is blue-green; this goes back by canary steps" "roll back by Helm instead"
[[ -z "${is[referred]}" ]] ||
  die 4 "$PLACE takes its template from ${is[referred]} (workloadRef)" "kubectl rollout undo there"
fresh || await "$FRESH_S" fresh ||
  unfinished "the controller has not seen its newest template for $FRESH_S s; nothing was touched"

versions
[[ -z "$to" || -n "${revision[$to]-}" || ("$to" == none && ${#revision[@]} -le 1) ]] || {
  list_versions
  die 4 "$PLACE: no ReplicaSet of version $to is there" "name one of these"
}
if [[ -z "${is[stable]}" ]] || ((${#revision[@]} <= 1)); then
  first_install
elif [[ "${is[current]}" == "${is[stable]}" ]]; then
  promoted
elif older "${is[current]}" "${is[stable]}"; then
  way_back_under_way
elif [[ -n "$to" && "$to" != "${is[stable]}" ]]; then
  die 5 "$PLACE: before the promotion it goes back to the stable version ${is[stable]} only" \
    "leave --to out, and then run it once more with --to $to"
else
  before_promotion
fi
