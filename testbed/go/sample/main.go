// Command sample is the application of the end-to-end tests and of the demo: it says which version it is, looks around from inside its
// pod for the tests, burns processor time when asked, and counts its requests for Prometheus.
//
// Version and failures come from the environment: VERSION, ERROR_RATE (0 to 1).
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const askTimeout = 3 * time.Second

var served, failed atomic.Int64

func main() {
	version := os.Getenv("VERSION")
	errorRate, _ := strconv.ParseFloat(os.Getenv("ERROR_RATE"), 64)
	routes := http.NewServeMux()
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", version)
		w.Header().Set("X-Pod", os.Getenv("HOSTNAME"))
		if rand.Float64() < errorRate {
			failed.Add(1)
			http.Error(w, "failed on purpose", http.StatusInternalServerError)
			return
		}
		served.Add(1)
		fmt.Fprintln(w, version)
	})
	routes.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ready") })
	routes.HandleFunc("/lookup", lookup)
	routes.HandleFunc("/dial", dial)
	routes.HandleFunc("/fetch", fetch)
	routes.HandleFunc("/burn", burn)
	routes.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE app_requests_total counter\n")
		fmt.Fprintf(w, "app_requests_total{code=\"200\"} %d\n", served.Load())
		fmt.Fprintf(w, "app_requests_total{code=\"500\"} %d\n", failed.Load())
	})

	server := &http.Server{Addr: ":8080", Handler: routes, ReadHeaderTimeout: askTimeout}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ended.Done()
		// Endpoints and routers learn of the end while we still answer.
		time.Sleep(2 * time.Second)
		last, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		_ = server.Shutdown(last)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

// lookup resolves ?name= as the pod does.
func lookup(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, r.URL.Query().Get("name"))
	answer(w, strings.Join(addresses, " "), err)
}

// dial opens a TCP connection to ?address=.
func dial(w http.ResponseWriter, r *http.Request) {
	connection, err := net.DialTimeout("tcp", r.URL.Query().Get("address"), askTimeout)
	if err == nil {
		connection.Close()
	}
	answer(w, "connected", err)
}

// fetch gets ?url= and gives back its status and body. Certificates are not its business.
func fetch(w http.ResponseWriter, r *http.Request) {
	client := http.Client{
		Timeout:   askTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	got, err := client.Get(r.URL.Query().Get("url"))
	if err != nil {
		answer(w, "", err)
		return
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, 4096))
	answer(w, fmt.Sprintf("%d %s", got.StatusCode, strings.TrimSpace(string(body))), err)
}

// burn keeps one processor busy for ?seconds=.
func burn(w http.ResponseWriter, r *http.Request) {
	seconds, _ := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	rounds := 0
	for time.Now().Before(end) && r.Context().Err() == nil {
		rounds++
	}
	answer(w, strconv.Itoa(rounds), nil)
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, text)
}
