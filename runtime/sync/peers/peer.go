// What runtime/sync's benchmarks do, in Go: the peer to compare with. Prints an operation and the
// nanoseconds that one takes, a line each. See compare.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	items    = 1000000
	times    = 100000
	capacity = 1024
)

var sink int64

// Runs body on so many threads of the machine and prints its time an operation.
func measure(name string, threads int, operations int, body func()) {
	runtime.GOMAXPROCS(threads)
	body() // warm
	start := time.Now()
	body()
	fmt.Printf("%s %.2f\n", name, float64(time.Since(start).Nanoseconds())/float64(operations))
}

func together(bodies ...func()) {
	var all sync.WaitGroup
	for _, body := range bodies {
		all.Add(1)
		go func(body func()) {
			defer all.Done()
			body()
		}(body)
	}
	all.Wait()
}

func pass(producers int, consumers int) {
	through := make(chan int64, capacity)
	var bodies []func()
	for p := 0; p < producers; p++ {
		bodies = append(bodies, func() {
			for i := int64(0); i < int64(items/producers); i++ {
				through <- i
			}
		})
	}
	for c := 0; c < consumers; c++ {
		bodies = append(bodies, func() {
			sum := int64(0)
			for i := 0; i < items/consumers; i++ {
				sum += <-through
			}
			sink = sum
		})
	}
	together(bodies...)
}

func main() {
	measure("mutex_uncontended", 1, times, func() {
		var mutex sync.Mutex
		for i := 0; i < times; i++ {
			mutex.Lock()
			mutex.Unlock()
		}
	})
	measure("mutex_contended", 1, times, func() {
		var mutex sync.Mutex
		contend := func() {
			for i := 0; i < times/2; i++ {
				mutex.Lock()
				runtime.Gosched()
				mutex.Unlock()
			}
		}
		together(contend, contend)
	})
	measure("event_fan_out", 1, 10000, func() {
		event := make(chan struct{})
		var all sync.WaitGroup
		for i := 0; i < 10000; i++ {
			all.Add(1)
			go func() {
				<-event
				all.Done()
			}()
		}
		runtime.Gosched()
		close(event)
		all.Wait()
	})
	measure("round_trip_one_thread", 1, times, func() {
		ping := make(chan int64, 1)
		pong := make(chan int64, 2)
		ping <- 1
		together(func() {
			for i := 0; i < times; i++ {
				pong <- <-ping
			}
		}, func() {
			for i := 0; i < times; i++ {
				ping <- <-pong
			}
		})
	})
	measure("channel_1_1_one_thread", 1, items, func() { pass(1, 1) })
	measure("channel_8_8_one_thread", 1, items, func() { pass(8, 8) })
	measure("channel_1_1_two_threads", 2, items, func() { pass(1, 1) })
	measure("channel_8_1_two_threads", 2, items, func() { pass(8, 1) })
	measure("channel_8_8_two_threads", 2, items, func() { pass(8, 8) })
}
