// Package cache keeps the things that were used last.
package cache

import "container/list"

// Cache forgets what was not used for the longest time once it is full.
type Cache struct {
	limit   int
	order   *list.List
	entries map[string]*list.Element
}

type entry struct {
	key   string
	value []byte
}

// New makes an empty cache for at most limit entries.
func New(limit int) *Cache {
	return &Cache{limit: limit, order: list.New(), entries: map[string]*list.Element{}}
}

// Get returns a value and marks it as just used.
func (c *Cache) Get(key string) ([]byte, bool) {
	element, found := c.entries[key]
	if !found {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(entry).value, true
}

// Put stores a value and evicts the oldest one where there is no room.
func (c *Cache) Put(key string, value []byte) {
	c.entries[key] = c.order.PushFront(entry{key, value})
	if c.order.Len() > c.limit {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.entries, oldest.Value.(entry).key)
	}
}
