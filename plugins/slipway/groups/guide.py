"""What a person reads who opens a task of a release: what it does, what green proves, and what to do when it is red.

Whatever is red under the lock goes back by itself (`settle`), so what is to be done is mostly for the next version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

GUIDE: Final[Mapping[str, str]] = {
    "configure.check": (
        "Looks at specs, version, freeze, secrets, chart, cluster, ledger and watchdog, and touches nothing; green "
        "proves that a release can begin; when red, mend what its log lists and start a new run."
    ),
    "configure.plan": (
        "Writes the release down with its specs and logs what is going to happen; green proves that the ledger keeps "
        "it; when red, nothing was touched: read its log and start a new run."
    ),
    "configure.approve": (
        "Asks one of the approvers where the environment wants that; green proves that somebody else has agreed; when"
        " red, somebody said no or nobody answered, and the release is cancelled: start a new run."
    ),
    "configure.acquire": (
        "Takes the lock of this application in this environment, and records what stands there now; green proves that"
        " no other release acts and that the way back is known; when red, the release is cancelled: start a new run."
    ),
    "build.images": (
        "Lists the images of the release; green proves that its specs can be read from the ledger; when red, the "
        "ledger is away or lost the lock: see to it and start a new run."
    ),
    "build.image": (
        "Builds an image or recognises it, holds it against its gates, scans and pushes it; green proves that what "
        "goes on is known by its digest; when red, mend the image or the finding and release a new version."
    ),
    "build.images_done": (
        "Writes down that every image is there; green proves that only digests go on; when red, look at the images "
        "before it: nothing was touched in the cluster."
    ),
    "deploy.chart": (
        "Lints and renders the chart, asks the API server, and looks at the difference; green proves that the cluster"
        " accepts it and that nothing but what may change does; when red, mend the chart or the settings."
    ),
    "deploy.upgrade": (
        "Upgrades by Helm; green proves that the cluster holds the new version with no pod of it, and no user met it;"
        " when red, read Helm's words in the log: settle puts the recorded revision back."
    ),
    "migrate.backup": (
        "Backs the database up; green proves that there is a backup with a manifest of its files; when red, nothing "
        "was migrated: look at room and login of the database."
    ),
    "migrate.verify_backup": (
        "Restores the backup beside the database and compares every row; green proves that the backup can be used; "
        "when red, do not migrate by hand either before a backup restores."
    ),
    "migrate.migrate": (
        "Expands the schema by a Job of the new image, while the old version serves; green proves that the schema is "
        "the new version's; when red, read the Job's log: what was expanded stays, and the old version runs on it."
    ),
    "monitoring.targets": (
        "Asks Prometheus for what the judge will ask for; green proves that the version that serves is seen; when "
        "red, mend the PodMonitor or Prometheus: a release without eyes gets no traffic."
    ),
    "canary.smoke_test": (
        "Starts the first pods, without traffic, and asks them directly; green proves that they answer and that "
        "Prometheus reads them; when red, no user met the version: read what the pod said."
    ),
    "canary.watch_10": (
        "Gives 10 % of the requests to the new version and watches it; green proves that nothing was found against "
        "it; when red, its users were taken back at once: the log has the rule and the numbers."
    ),
    "canary.watch_50": (
        "Gives 50 % of the requests to the new version and watches it; green proves that nothing was found against "
        "it; when red, its users were taken back at once: the log has the rule and the numbers."
    ),
    "canary.all_traffic": (
        "Gives all requests to the new version, the old one standing by at full size; green proves that the Rollout "
        "has done so; when red, look at the Rollout's message: settle goes back."
    ),
    "canary.followers": (
        "Brings what has no traffic of its own, such as workers, to the new version; green proves that their tasks do"
        " not fail more than before; when red, all of it goes back: the log names the follower."
    ),
    "canary.bake": (
        "Watches the new version under all requests while the old one stands by; green proves that it was as good for"
        " the whole bake, or until a newer release ended it; when red, its users were taken back at once."
    ),
    "canary.promote": (
        "Makes the new version the stable one, which is the last act; green proves that the Rollout was seen healthy "
        "on it; when red, settle finds out which version is stable, and goes back unless it was promoted."
    ),
    "announce": (
        "Tells people that the release has all the traffic; green proves that the channels were tried; when red, the "
        "version is promoted all the same: tell people yourself."
    ),
    "settle": (
        "Runs whatever happened, and ends the release: promoted, taken back with every truth proved, or cancelled; "
        "green proves that it is promoted; when red, its log says how it ended: act only where it says "
        "ROLLBACK_FAILED."
    ),
}
"""Task id -> its text."""
