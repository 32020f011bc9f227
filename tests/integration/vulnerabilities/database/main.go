// Command database writes a vulnerability database for Trivy from advisories that a test makes up.
//
//	go run . FOLDER < advisories.json
//
// It writes FOLDER/trivy.db and FOLDER/metadata.json with Trivy's own writer, so the scanner that reads them is
// the one that reads the public database.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/metadata"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"go.etcd.io/bbolt"
)

// advisory is one made-up vulnerability of one package.
type advisory struct {
	ID       string `json:"id"`
	Bucket   string `json:"bucket"` // "debian 12", "pip::test"
	Package  string `json:"package"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
	// Fixed is the first good version of a system's package; empty: there is none yet.
	Fixed string `json:"fixed,omitempty"`
	// Vulnerable are ranges of a language's package, for example "<2.0".
	Vulnerable []string `json:"vulnerable,omitempty"`
	Patched    []string `json:"patched,omitempty"`
}

// input is what a test says.
type input struct {
	UpdatedAt  time.Time  `json:"updated_at"`
	Advisories []advisory `json:"advisories"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: database FOLDER < advisories.json")
	}
	folder := os.Args[1]
	var said input
	if err := json.NewDecoder(os.Stdin).Decode(&said); err != nil {
		return fmt.Errorf("the advisories cannot be read: %w", err)
	}
	if err := db.Init(folder); err != nil {
		return err
	}
	if err := write(said.Advisories); err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return metadata.NewClient(folder).Update(metadata.Metadata{
		Version:      db.SchemaVersion,
		UpdatedAt:    said.UpdatedAt,
		NextUpdate:   said.UpdatedAt.Add(24 * time.Hour),
		DownloadedAt: said.UpdatedAt,
	})
}

func write(advisories []advisory) error {
	store := db.Config{}
	return store.BatchUpdate(func(tx *bbolt.Tx) error {
		for _, one := range advisories {
			severity, err := types.NewSeverity(one.Severity)
			if err != nil {
				return err
			}
			source := types.DataSource{ID: "test", Name: "advisories of a test", URL: "https://example.com"}
			if err := store.PutDataSource(tx, one.Bucket, source); err != nil {
				return err
			}
			content := types.Advisory{
				FixedVersion:       one.Fixed,
				VulnerableVersions: one.Vulnerable,
				PatchedVersions:    one.Patched,
			}
			if err := store.PutAdvisory(tx, []string{one.Bucket, one.Package}, one.ID, content); err != nil {
				return err
			}
			detail := types.Vulnerability{
				Title:          one.Title,
				Severity:       severity.String(),
				VendorSeverity: types.VendorSeverity{source.ID: severity},
			}
			if err := store.PutVulnerability(tx, one.ID, detail); err != nil {
				return err
			}
		}
		return nil
	})
}
