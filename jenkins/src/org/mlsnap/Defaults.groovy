package org.mlsnap

import com.cloudbees.groovy.cps.NonCPS

/**
 * What several steps take, and what holds when it is not given. `docs/jenkins-steps.md` is made from these lines
 * and those of `vars/`: a name, a default, and after `//` what it is.
 */
class Defaults implements Serializable {
    private static final long serialVersionUID = 1

    /** How mlsnap comes to the agent. */
    @NonCPS
    static Map tool() {
        return [
            install: 'own',  // `own`: a virtual environment made in `WORKSPACE_TMP` for this build; `skip`: the `mlsnap` that is on the agent's `PATH`, or in its image.
            pythonPath: '',  // The Python that the environment is made with; empty: the distribution's, or else one on the `PATH`, 3.11 or later.
            requirement: 'ci-mlsnap==0.1.0',  // What pip installs as mlsnap: a version, or a wheel's path or URL. All that it needs is locked by hashes.
        ]
    }

    /** Who speaks to GitHub and to the storage. A change request from a fork gets none of it. */
    @NonCPS
    static Map secrets() {
        return [
            credentialsId: '',  // The credential for GitHub: a token as secret text, or a login whose password is one, such as a GitHub App.
            storageCredentialsId: '',  // The credential for ONTAP: user and password, or a bearer token as secret text.
        ]
    }

    /** Where the model is. */
    @NonCPS
    static Map place() {
        return [
            project: '',  // The folder of the `mlsnap.toml` that is meant, in a repository with several.
            model: '',  // The model's name; its commit status is `mlsnap/<model>`.
            volume: '',  // The folder that training writes its model to; empty: `volume` of `mlsnap.toml`.
            driver: '',  // The storage that the volume is on: `local` or `ontap`.
            view: '',  // A link in the checkout that leads to the model, for a volume outside of it.
            store: '',  // Where the snapshots of a local volume are kept; empty: `.mlsnap` beside it.
            ontapVolume: '',  // The volume's name on its SVM, or its UUID; empty: the volume that is mounted at `volume`.
            state: '',  // Where leases, journals and the ledger of an ONTAP volume are kept: a folder that all hosts see.
        ]
    }

    /** What is posted besides the status. */
    @NonCPS
    static Map posts() {
        return [
            comment: '',  // Whether a pull request gets a comment for each model: `true`, `false` or `on-change`.
            gateStatuses: '',  // `true` gives each gate a commit status of its own, `mlsnap/<model>/<metric>`.
            checkRuns: '',  // `true` leaves the report of a run as a check run too; only a GitHub App may.
        ]
    }

    /** Whom credentials go to, and nobody else. */
    @NonCPS
    static Map servers() {
        return [
            githubUrl: '',  // The URL of GitHub's API, for an Enterprise Server.
            githubRepository: '',  // `owner/name` of the repository to post to, where it is not the one that is checked out.
            githubCa: '',  // A file on the agent with the certificates of the authority that signs GitHub's.
            ontapHost: '',  // The management address of the ONTAP cluster or SVM.
            ontapPort: '',  // The port of its management interface; empty: 443.
            ontapSvm: '',  // The SVM that the volumes are on.
            ontapUser: '',  // The user whose password is given; empty: the credential's own.
            ontapCa: '',  // A file on the agent with the certificates of the authority that signs the cluster's.
            ontapFingerprint: '',  // The SHA-256 of the cluster's own certificate.
        ]
    }
}
