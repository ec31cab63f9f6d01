// Intrusive doubly linked lists. A node unlinks itself when it is destroyed, so a coroutine frame that holds nodes can be
// destroyed at any await (task.h, rule 2). A list that dies first leaves its nodes unlinked.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace witan::runtime {

/// Base of whatever can be in one list at a time. An object that is in several lists has one base per Tag.
template <class Tag>
class ListNode {
 public:
  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (!linked()) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 protected:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

 private:
  template <class T, class OtherTag>
  friend class List;

  ListNode* prev_ = nullptr;
  ListNode* next_ = nullptr;
};

/// FIFO of objects that derive from ListNode<Tag>; owns nothing.
template <class T, class Tag>
class List {
 public:
  List() noexcept { head_.prev_ = head_.next_ = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty()) head_.next_->unlink();
    head_.prev_ = head_.next_ = nullptr;
  }

  bool empty() const noexcept { return head_.next_ == &head_; }
  T& front() noexcept { return static_cast<T&>(*head_.next_); }
  T& pop_front() noexcept {
    WITAN_CHECK(!empty());
    Node& node = *head_.next_;
    node.unlink();
    return static_cast<T&>(node);
  }
  /// Precondition: the object is in no list of this tag.
  void push_back(T& object) noexcept { insert_before(head_, object); }
  void push_front(T& object) noexcept { insert_before(*head_.next_, object); }
  /// For range-for; the current object may not be unlinked and used further in the same pass.
  class Iterator {
   public:
    explicit Iterator(ListNode<Tag>* node) noexcept : node_(node) {}
    T& operator*() const noexcept { return static_cast<T&>(*node_); }
    Iterator& operator++() noexcept {
      node_ = List::next_of(*node_);
      return *this;
    }
    friend bool operator==(Iterator, Iterator) = default;

   private:
    ListNode<Tag>* node_;
  };
  Iterator begin() noexcept { return Iterator(head_.next_); }
  Iterator end() noexcept { return Iterator(&head_); }

  /// Moves all objects of `other` behind those of this list.
  void splice_back(List& other) noexcept {
    if (other.empty()) return;
    Node& first = *other.head_.next_;
    Node& last = *other.head_.prev_;
    other.head_.prev_ = other.head_.next_ = &other.head_;
    first.prev_ = head_.prev_;
    head_.prev_->next_ = &first;
    last.next_ = &head_;
    head_.prev_ = &last;
  }

 private:
  using Node = ListNode<Tag>;
  struct Head final : Node {};

  static Node* next_of(Node& node) noexcept { return node.next_; }
  static void insert_before(Node& position, T& object) noexcept {
    Node& node = object;
    WITAN_CHECK(!node.linked());
    node.prev_ = position.prev_;
    node.next_ = &position;
    position.prev_->next_ = &node;
    position.prev_ = &node;
  }

  Head head_;
};

}  // namespace witan::runtime
