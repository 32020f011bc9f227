#!/usr/bin/env bash
# Deploy by hand what the release's DAG deploys: the same chart, the same layers of values, images by digest.
#
#   scripts/deploy/deploy_k8s.sh hive-platform --env local --version 1.0.0 \
#     --digest backend=sha256:... --digest frontend=sha256:... [--dry-run]
#
#   --env NAME               a file of include/config
#   --version VERSION        what is deployed, for labels and messages
#   --digest IMAGE=sha256:.. of each image of the release spec; a tag is refused
#   --keep COMPONENT=REPOSITORY@sha256:..  what a follower still runs; the DAG keeps all of them until the canary
#                            has proved itself, by hand they change at once unless kept
#   --first-install          nothing runs yet: wait at 0 pods until the migration is done
#   --timeout SECONDS        how long to look at the rollout; default 300
#   --dry-run                print the commands and the last layer of values, touch nothing
#
# A canary stops at each step for somebody to decide; this script decides nothing and promotes nothing.
# Exit codes: 0 Healthy or Paused, 1 something failed, 2 refused before anything was touched.
set -euo pipefail

readonly ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
readonly PYTHON="${SLIPWAY_PYTHON:-$ROOT/.venv/bin/python}"

refuse() { # WHAT MEND
  printf '%s\n  do     %s\n' "$1" "$2" >&2
  exit 2
}

slipway() { "$PYTHON" -m slipway "$@"; }

application="" environment="" version="" timeout_s=300 dry_run=false
images=()
while (($#)); do
  case "$1" in
    --env | --version | --digest | --keep | --timeout)
      (($# > 1)) || refuse "$1: its value is missing" "give one, for example: $1 ..."
      case "$1" in
        --env) environment="$2" ;;
        --version) version="$2" ;;
        --digest | --keep) images+=("$1" "$2") ;;
        --timeout) timeout_s="$2" ;;
      esac
      shift 2
      ;;
    --first-install) images+=("$1") && shift ;;
    --dry-run) dry_run=true && shift ;;
    --help | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    -*) refuse "$1: unknown option" "see --help" ;;
    *)
      [[ -z "$application" ]] || refuse "$1: a second application" "name one application"
      application="$1" && shift
      ;;
  esac
done
[[ -n "$application" ]] || refuse "no application is named" "name a file of include/releases, such as hive-platform"
[[ -n "$environment" ]] || refuse "--env is missing" "name a file of include/config, such as --env local"
[[ -n "$version" ]] || refuse "--version is missing" "name it, such as --version 1.0.0"
[[ "$timeout_s" =~ ^[1-9][0-9]{0,4}$ ]] || refuse "--timeout: not a number of seconds" "write for example --timeout 300"

# Both commands check every file before they print a line, and leave with 2 when something is refused.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
slipway config deployment "$application" --env "$environment" >"$work/deployment"
slipway values "$application" "$version" --env "$environment" "${images[@]}" >"$work/last.yaml"

declare -A is
overlays=() keys=() cluster=()
while IFS='=' read -r key value; do
  case "$key" in
    values) overlays+=(--values "$value") ;;
    secret_key) keys+=("$value") ;;
    *) is["$key"]="$value" ;;
  esac
done <"$work/deployment"
if [[ -n "${is[kubeconfig_env]:-}" ]]; then
  variable="${is[kubeconfig_env]}"
  $dry_run || [[ -n "${!variable:-}" ]] || refuse "$variable is not set" "export $variable=PATH of the kubeconfig"
  is[kubeconfig_file]="${!variable:-\$$variable}"
elif [[ -n "${is[kubeconfig_connection]:-}" ]]; then
  refuse "the kubeconfig of $environment lies in an Airflow connection" "let the DAG deploy, or name a file or a variable"
fi
[[ -z "${is[kubeconfig_file]:-}" ]] || cluster+=(--kubeconfig "${is[kubeconfig_file]}")
kubectl=(kubectl "${cluster[@]}" --namespace "${is[namespace]}" --request-timeout 20s)
helm=(helm "${cluster[@]}" --namespace "${is[namespace]}")
if [[ -n "${is[context]:-}" ]]; then
  kubectl+=(--context "${is[context]}")
  helm+=(--kube-context "${is[context]}")
fi

# Three-way merge always: Argo Rollouts owns selectors and weights, and Helm 4's own default would lose to it.
merge=()
[[ "$(helm version --template '{{.Version}}')" != v4* ]] || merge=(--server-side=false)
# No --wait: a canary that stops at its first step is what is wanted, and Helm would wait for it in vain.
upgrade=("${helm[@]}" upgrade --install "${is[release_name]}" "${is[chart]}" "${merge[@]}"
  "${overlays[@]}" --values "$work/last.yaml" --history-max "${is[history_max]}" --timeout "${is[timeout_s]}s")

if $dry_run; then
  printf '%q ' "${upgrade[@]/#$work/LAST_LAYER}" && printf '\n---\n' && cat "$work/last.yaml"
  exit 0
fi

if [[ -n "${is[secret]:-}" ]]; then
  there="$("${kubectl[@]}" get secret "${is[secret]}" --ignore-not-found \
    --output 'go-template={{range $key, $_ := .data}}{{$key}}{{"\n"}}{{end}}')"
  for key in "${keys[@]}"; do
    grep --quiet --line-regexp --fixed-strings "$key" <<<"$there" ||
      refuse "Secret ${is[namespace]}/${is[secret]}: the key $key is missing" \
        "kubectl --namespace ${is[namespace]} create secret generic ${is[secret]} --from-file=$key, or add the key"
  done
fi

"${upgrade[@]}"

# The controller has to have seen this generation; before, the phase is that of the version before.
look='jsonpath={.metadata.generation} {.status.observedGeneration} {.status.phase} {.status.message}'
deadline=$((SECONDS + timeout_s))
said=""
while ((SECONDS < deadline)); do
  generation="" observed="" phase="" message=""
  read -r generation observed phase message < <("${kubectl[@]}" get rollout "${is[rollout]}" --output "$look" && echo) ||
    true
  if [[ -n "$phase" && "$generation" == "$observed" ]]; then
    [[ "$said" == "$phase $message" ]] || printf '%s: %s %s\n' "${is[rollout]}" "$phase" "$message"
    said="$phase $message"
    case "$phase" in
      Healthy | Paused) exit 0 ;;
      Degraded) exit 1 ;;
    esac
  fi
  sleep 2
done
printf '%s: neither Healthy nor Paused after %s s\n  do     kubectl --namespace %s describe rollout %s\n' \
  "${is[rollout]}" "$timeout_s" "${is[namespace]}" "${is[rollout]}" >&2
exit 1
