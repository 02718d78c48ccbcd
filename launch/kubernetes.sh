#!/usr/bin/env bash
# Runs a command of synthdiff as a JobSet, one process per pod:
#
#   launch/kubernetes.sh --name=cohort --image=registry/synthdiff:1 --claim=runs \
#       --num_processes=4 --limit=nvidia.com/gpu=8 train --run_dir=/runs/cohort
#
# The image holds the package; the volume of --claim is mounted at /runs and has to be shared
# (ReadWriteMany). A pod that is preempted, or ends by SIGTERM, restarts all of them, as often as it
# takes, and they resume from the run folder; other failures restart them --max_restarts times. For
# TPUs give --limit=google.com/tpu=4 and the pool's labels as --node_selector=KEY=VALUE. --dry_run
# prints the manifest. Needs JobSet 0.6 (https://jobset.sigs.k8s.io) and bash 4.4.
set -euo pipefail

name='' image='' claim='' num_processes=1 max_restarts=3 dry_run=
limits=() selectors=()
while [[ ${1:-} == --* ]]; do
  case $1 in
    --name=*) name=${1#*=} ;;
    --image=*) image=${1#*=} ;;
    --claim=*) claim=${1#*=} ;;
    --num_processes=*) num_processes=${1#*=} ;;
    --max_restarts=*) max_restarts=${1#*=} ;;
    --limit=*) limits+=("${1#*=}") ;;
    --node_selector=*) selectors+=("${1#*=}") ;;
    --dry_run) dry_run=1 ;;
    *) echo "unknown option $1, see $0" >&2 && exit 2 ;;
  esac
  shift
done
[[ -n $name && -n $image && -n $claim ]] || {
  echo "give --name=NAME, --image=IMAGE and --claim=CLAIM" >&2 && exit 2
}
[[ $# -gt 0 ]] || { echo "name a command, for example train" >&2 && exit 2; }

quote() { # a JSON string, which YAML reads; $( would be a variable of the pod
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"} text=${text//$'\n'/\\n}
  printf '"%s"' "${text//\$(/\$\$(}"
}
mapping() { # NAME=VALUE entries as one line of YAML
  local text=
  for entry in "$@"; do text+=", $(quote "${entry%%=*}"): $(quote "${entry#*=}")"; done
  printf '{%s}' "${text#, }"
}
render() {
  cat <<YAML
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $(quote "$name")
spec:
  failurePolicy:
    maxRestarts: $max_restarts
    rules:
    - name: preempted
      action: RestartJobSetAndIgnoreMaxRestarts
      onJobFailureReasons: [PodFailurePolicy]
  replicatedJobs:
  - name: worker
    replicas: 1
    template:
      spec:
        completionMode: Indexed
        completions: $num_processes
        parallelism: $num_processes
        backoffLimit: 0
        podFailurePolicy:
          rules:
          - action: FailJob
            onPodConditions:
            - type: DisruptionTarget
              status: "True"
          - action: FailJob
            onExitCodes: {operator: In, values: [75, 143]} # stopped by SIGTERM
        template:
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 120
            nodeSelector: $(mapping "${selectors[@]}")
            volumes:
            - name: runs
              persistentVolumeClaim:
                claimName: $(quote "$claim")
            containers:
            - name: synthdiff
              image: $(quote "$image")
              command: [python, -m, synthdiff]
              args:
$(for word in "$@"; do echo "              - $(quote "$word")"; done)
              - --coordinator=$name-worker-0-0.$name:8476
              - --num_processes=$num_processes
              - --process_id=\$(PROCESS_ID)
              env:
              - name: PROCESS_ID
                valueFrom:
                  fieldRef:
                    fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
              volumeMounts:
              - name: runs
                mountPath: /runs
              resources: {limits: $(mapping "${limits[@]}")}
YAML
}
if [[ -n $dry_run ]]; then render "$@"; else render "$@" | kubectl apply -f -; fi
